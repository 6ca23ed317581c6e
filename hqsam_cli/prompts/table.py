"""The prompts of each image of a run: matched to the images, combined, numbered and selected."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, TypeVar

from ..errors import HqsamError
from ..formats.values import Identifier, integer, note
from ..io.find import SourceImage
from ..records import Category, ImagePrompts, Instance, MappedObject, Prompt, RawPrompt
from .categories import Categories
from .mask_folder import MaskFolder
from .match import match_images
from .prompt_file import Notes, PromptFile
from .read import PromptSources
from .readers.geojson import add_features
from .units import settle_sizes, settle_units

LARGEST_ANNOTATION_ID = 2**53 // 3  # of a prompt; its three masks have separate ids
Key = Identifier | tuple[int, int]  # id of a prompt in files, or file and entry if it has none
WHOLE: Key = (-1, 0)  # of prompts for the whole image
Scored = TypeVar("Scored", Prompt, RawPrompt, Instance)


@dataclass(frozen=True, slots=True)
class Selection:
    """Selection by score and count; prompts without a score rank first.

    Attributes:
        score_threshold: prompts with a lower score are dropped; those without a score are kept.
        max_det: maximum number of prompts per image, the best ones.
    """

    score_threshold: float | None = None
    max_det: int | None = None

    def best(self, prompts: Sequence[Scored]) -> list[Scored]:
        """The selected prompts or masks, in input order."""
        threshold = -math.inf if self.score_threshold is None else self.score_threshold
        scores = [math.inf if prompt.score is None else prompt.score for prompt in prompts]
        kept = set(sorted(range(len(prompts)), key=lambda place: -scores[place])[: self.max_det])
        return [p for place, p in enumerate(prompts) if place in kept and scores[place] >= threshold]

    def number(self, file_name: str, found: Sequence[Prompt]) -> list[Prompt]:
        """Select detections of an image, and assign ids."""
        return self.best([replace(prompt, annotation_id=n) for n, prompt in enumerate(found, first_id(file_name))])

    def number_masks(self, file_name: str, found: Sequence[Instance]) -> list[Instance]:
        """Select masks without a prompt from a file, and assign ids."""
        numbered = enumerate(found, first_id(file_name))
        return self.best([replace(own, prompt=replace(own.prompt, annotation_id=n)) for n, own in numbered])


def hash_id(file_name: str) -> int:
    """Image id from a name: 52 bits of its SHA-256, exact as a JSON number."""
    return int(hashlib.sha256(os.fsencode(file_name)).hexdigest()[:13], 16)


def first_id(file_name: str) -> int:
    """First id of the prompts of an image without ids of their own.

    Ids depend only on the name of the image and the index of the prompt, so they do not change with other images. Half
    the range of image ids, so that three times an id is still exact in JSON.
    """
    return hash_id(file_name) // 2 + 1


@dataclass(frozen=True, slots=True)
class PromptTable:
    """The prompts of each image of a run.

    Attributes:
        images: images mentioned in a file, by name.
        from_files: whether prompts come from files; objects in images they do not mention are unknown.
        categories: COCO categories of the results.
        notes: messages about unused prompts, and other remarks.
        outside: messages about names that lead out of the image folder; the run ends with exit code 3.
    """

    images: Mapping[str, ImagePrompts] = field(default_factory=dict)
    categories: list[Category] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    outside: list[str] = field(default_factory=list)
    from_files: bool = False

    def for_image(self, file_name: str) -> ImagePrompts:
        """The prompts of an image; empty if no file mentions it."""
        return self.images.get(file_name) or ImagePrompts(
            file_name, hash_id(file_name), mentioned=False if self.from_files else None
        )


@dataclass(slots=True)
class _Joined:
    """An image whose prompts are being joined: prompts and the ids they keep, by key."""

    image_id: int | None = None
    size: tuple[int, int] | None = None
    mentioned: bool = False
    prompts: dict[Key, RawPrompt] = field(default_factory=dict)
    kept: dict[Key, int] = field(default_factory=dict)


def bind_prompts(
    sources: PromptSources,
    images: Sequence[SourceImage],
    selection: Selection | None = None,
    known: Sequence[Category] = (),
) -> PromptTable:
    """Combine the prompts of each image of the run; entries with equal ids are one prompt.

    An id is kept if it is an integer and used by one image; others are derived from the image name and the index of the
    prompt. So the results of an image do not depend on other images of the run.

    Args:
        known: as in `Categories`.

    Raises:
        HqsamError: no image id of a results list without images is the stem of an image.
    """
    selection = selection or Selection()
    binder = _Binder(sources, known)
    for number, file in enumerate(sources.files):
        binder.add_file(number, file, images)
    names = [image.file_name for image in images]
    if sources.masks is not None:
        binder.add_masks(sources.masks, images)
    for name in names if sources.typed else ():
        prompts = enumerate(sources.typed)
        binder.joined[name].prompts.update(
            {(-1, n): replace(own, category_id=binder.categories.default()) for n, own in prompts}
        )
    joined, notes = binder.joined, binder.notes
    if sources.files or sources.masks is not None:
        note(notes.remarks, "images that no prompt file mentions", [name for name in names if name not in joined])
    from_files = sources.masks is not None or any(file.use is not None for file in sources.files)
    image_ids: dict[int, str] = {}
    table = {}
    for name, own in joined.items():
        if own.image_id is not None and image_ids.setdefault(own.image_id, name) != name:
            other = image_ids[own.image_id]
            notes.remarks.append(f"{name}: has the image id {own.image_id} of {other}; replaced")
            own.image_id = None
        numbered = [
            replace(prompt, annotation_id=own.kept.get(key, number))
            for number, (key, prompt) in enumerate(own.prompts.items(), first_id(name))
        ]
        best = selection.best(numbered)
        table[name] = ImagePrompts(
            name,
            hash_id(name) if own.image_id is None else own.image_id,
            own.size,
            best,
            len(numbered) - len(best),
            (own.mentioned or bool(numbered)) if from_files else None,
        )
    return PromptTable(table, binder.categories.complete(), notes, binder.outside, from_files)


class _Binder:
    """Joins the content of files to the prompts of each image."""

    def __init__(self, sources: PromptSources, known: Sequence[Category]) -> None:
        self.notes, self.outside = Notes(), list[str]()
        self.joined: dict[str, _Joined] = defaultdict(_Joined)
        # The run of coarse masks is the last file. With others, its categories are added only if masks have them.
        runs = [] if sources.masks is None else [sources.masks.run]
        runs = [replace(run, categories=()) for run in runs] if sources.files else runs
        self.categories = Categories([*sources.files, *runs], known)
        self._owners: dict[int, str] = {}  # images by kept prompt ids
        for file in filter(None, [sources.listed]):
            self._add_notes(file)

    def add_file(self, number: int, file: PromptFile, images: Sequence[SourceImage]) -> None:
        """Join the annotations of the n-th file, if it was read for them."""
        matches = match_images(file, images)
        self.notes.lost.extend(f"{file.path}: {text}" for text in matches.ambiguous)
        self.outside.extend(matches.outside)
        if file.unlisted and file.images and not matches.names and not matches.ambiguous:
            raise HqsamError(
                "a COCO results list whose image ids match no input name",
                file=file.path,
                remedy="pass `images_json` FILE with its images",
            )
        sources = {image.file_name: image for image in images}
        settle = settle_sizes if file.unsettled else settle_units if file.box_format == "qwen2.5" else None
        matched_images = {key: sources[name] for key, name in matches.names.items()}
        if settle is not None and (decision := settle(file, matched_images)):
            self.notes.remarks.append(decision)
        add_features(file, matched_images)
        self._add_notes(file)
        silent = file.silent
        for image_key, name in matches.names.items():
            own, image = self.joined[name], file.images[image_key]
            own.image_id = image.image_id if own.image_id is None else own.image_id
            own.size = own.size or image.size
            own.mentioned = own.mentioned or image_key not in silent
        # Whether ids restart with each image, and so are not unique in the run.
        pairs = {(a.annotation_id, a.key) for a in file.annotations if a.annotation_id is not None}
        shared = len({own_id for own_id, _ in pairs}) < len(pairs)
        met: set[tuple[str, Identifier]] = set()
        unmatched, renumbered = [], []
        key: Key
        for entry, annotation in enumerate(file.annotations):
            matched = matches.names.get(annotation.key)
            if matched is None:
                unmatched.append(file.images[annotation.key].label)
                continue
            own, own_id = self.joined[matched], annotation.annotation_id
            key = (number, entry) if own_id is None or (matched, own_id) in met else own_id
            if own_id is not None:
                met.add((matched, own_id))
            if isinstance(key, int) and self._can_stay(key, matched) and not shared:
                own.kept[key] = key
            if own_id is not None and key not in own.kept and file.numbered:
                renumbered.append(str(own_id))
            known = own.prompts.get(key) or RawPrompt(
                0, self.categories.number(number, annotation), score=annotation.score
            )
            own.prompts[key] = replace(known, **{annotation.field: annotation.value})
        note(self.notes.lost, f"{file.path}: prompts that match no input", unmatched)
        what = f"{file.path}: annotation ids that are not positive integers of one object, replaced"
        note(self.notes.remarks, what, renumbered)
        note(self.notes.remarks, f"{file.path}: classes whose name is not found", list(self.categories.unnamed[number]))

    def add_masks(self, masks: MaskFolder, images: Sequence[SourceImage]) -> None:
        """Join coarse masks to prompts by id; a mask of the whole image belongs to its only prompt.

        As in `match_images`, all images have their names in earlier results, or those by the inputs.
        """
        names = {image.file_name: image.file_name for image in images}
        listed = {image.listed or image.file_name: image.file_name for image in images}
        each = [(own, list(masks.of_images(list(own)))) for own in (names, listed)]
        known, found = max(each, key=lambda pair: len(pair[1]))
        last, zeros = len(self.categories.unnamed) - 1, list[str]()
        counts = Counter(number for _, number, _, _ in found)
        for written, number, path, mask in found:
            name = known[written]
            own = self.joined[name]
            if number is None and len(own.prompts) > 1:
                mapped = [key for key in own.prompts if isinstance(key, int)]
                for own_id in mapped:
                    self.add_part(name, own_id, "mask", MappedObject(masks.folder / path, own_id))
                if not mapped:
                    text = (
                        f"{masks.folder / path}: one mask for {len(own.prompts)} prompts of {name} without ids; skipped"
                    )
                    self.notes.lost.append(text)
                continue
            key: Key = next(iter(own.prompts), WHOLE) if number is None else number
            if number == 0 and key not in own.prompts:
                zeros.append(str(path))
            if number is not None and key not in own.prompts and counts[number] == 1 and self._can_stay(number, name):
                own.kept[key] = number
            made = None if number is None else masks.objects.get(written, {}).get(number)
            if made is not None and key not in own.prompts:
                own.prompts[key] = RawPrompt(0, self.categories.number(last, made), score=made.score)
            self.add_part(name, key, "mask", mask)
        note(
            self.notes.remarks,
            f"{masks.folder}: masks of object 0, which evaluation reads as none, with new ids",
            zeros,
        )
        unmatched = sorted(set(masks.paths.values()).difference(path for _, _, path, _ in found))
        note(self.notes.lost, f"{masks.folder}: masks that match no input", [*unmatched, *masks.twins])

    def add_part(self, name: str, key: Key, part: str, value: Any) -> None:
        """Set a field of a prompt of an image; a new prompt has the default category."""
        prompts = self.joined[name].prompts
        prompts[key] = replace(prompts.get(key) or RawPrompt(0, self.categories.default()), **{part: value})

    def _add_notes(self, file: PromptFile) -> None:
        notes = file.notes
        self.notes.lost.extend(notes.lost)
        self.notes.remarks.extend(notes.remarks)

    def _can_stay(self, number: int, name: str) -> bool:
        """Whether a prompt can keep its id from a file: not 0, "no match" for evaluators, nor that of another image."""
        return 0 < number < LARGEST_ANNOTATION_ID and self._owners.setdefault(number, name) == name


def number_images(listed: PromptFile | None, images: Sequence[SourceImage]) -> PromptTable:
    """A table without prompts, for image ids: those listed in another file, else numeric stems.

    `000000000139.jpg` is 139. If two images share a number, or the stem is not one, the id is derived from the name.
    """
    table = bind_prompts(PromptSources(() if listed is None else (listed,)), images)
    if listed is not None:
        return table
    stems = {image.file_name: integer(PurePosixPath(image.file_name).stem.lstrip("0") or "0") for image in images}
    counts = Counter(stems.values())
    own = {name: n for name, n in stems.items() if n is not None and n >= 0 and counts[n] == 1}
    notes = Notes()
    note(notes.remarks, "images whose names are not numbers, with new ids", [n for n in stems if n not in own])
    return PromptTable({name: ImagePrompts(name, n) for name, n in own.items()}, table.categories, notes)
