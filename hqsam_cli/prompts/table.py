"""The prompts of each image of a run: files are read, matched to the images, joined, numbered and selected."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from ..configs import BoxFormat
from ..errors import HqsamError
from ..formats.label_folder import is_root
from ..formats.prompt_file import Notes, PromptFile, Use, note
from ..formats.values import Identifier, integer, some_of
from ..io.find import SourceImage
from ..io.places import is_address
from ..records import ImagePrompts, RawPrompt
from .categories import Categories
from .mask_folder import MaskFolder
from .match import match_images
from .read import read_beside, read_prompt_address, read_prompt_file, read_prompt_folder
from .select import Selection, first_id, hash_id

LARGEST_ANNOTATION_ID = 2**53 // 3  # of a prompt, whose three masks have ids of their own


@dataclass(frozen=True, slots=True)
class PromptSources:
    """Everything the command line names.

    Attributes:
        listed: the file that lists the images of results lists.
        masks: a folder of coarse masks.
        frame: every image itself is the prompt.
    """

    files: tuple[PromptFile, ...] = ()
    listed: PromptFile | None = None
    masks: MaskFolder | None = None
    frame: bool = False

    @property
    def recognized(self) -> list[str]:
        """What each file was taken for."""
        things = {"box": "boxes", "xyxyn": "boxes", "points": "points", "mask": "masks"}
        return [
            f"{file.path}: {file.kind}; images: {len(file.images)}, {things[file.use]}: {len(file.annotations)}"
            for file in self.files
            if file.use in things
        ]

    @property
    def entries(self) -> list[tuple[str, int, list[str]]]:
        """What was given: path, how many prompts, and names of what they are for."""
        given = [(file.path, file.entries, [image.label for image in file.images.values()]) for file in self.files]
        if self.masks is not None:
            given.append((str(self.masks.folder), len(self.masks.paths), sorted(self.masks.paths.values())))
        return [(path, count, names) for path, count, names in given if count]


@dataclass(frozen=True, slots=True)
class PromptTable:
    """What each image of a run is asked.

    Attributes:
        images: by name, those that a file speaks of.
        from_files: whether files say what there is in images; of those that they do not mention nobody knows.
        categories: COCO categories the results keep.
        notes: what is lost, and what else people should know.
        outside: sentences about names that leave the image folder; the run ends with exit code 3.
    """

    images: Mapping[str, ImagePrompts] = field(default_factory=dict)
    categories: list[dict[str, Any]] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    outside: list[str] = field(default_factory=list)
    from_files: bool = False

    def for_image(self, file_name: str) -> ImagePrompts:
        """Prompts of an image; none where no file speaks of it."""
        return self.images.get(file_name) or ImagePrompts(
            file_name, hash_id(file_name), mentioned=False if self.from_files else None
        )


def read_prompts(
    *,
    boxes: str | None = None,
    images_json: str | None = None,
    points: str | None = None,
    coarse_masks: str | None = None,
    frame: bool = False,
    beside: Mapping[str, bytes] | None = None,
    box_format: BoxFormat | None = None,
    stdin: BinaryIO | None = None,
) -> PromptSources:
    """Everything the command line names, read.

    Args:
        boxes, points: COCO instances, COCO results or NDJSON files, or `-` for `stdin`; or a folder of labels; or an
            address, which is of a folder where its name has no suffix.
        images_json: the file that lists the images of results lists.
        coarse_masks: such a file, or a folder of masks or of labels with polygons.
        beside: the JSON that tars have beside images, whose boxes count where nothing else is given.

    Raises:
        HqsamError: a file cannot be read, or is of another kind.
    """
    listed = None if images_json is None else read_prompt_file(images_json, None, stdin=stdin)
    masks = None
    files: list[PromptFile] = []
    uses: list[tuple[str | None, Use]] = [(boxes, "box"), (points, "points"), (coarse_masks, "mask")]
    for path, use in uses:
        if path is None:
            continue
        own_format = box_format if use == "box" else None
        if is_address(path) and not PurePosixPath(path).suffix:
            files.append(read_prompt_address(path, use, box_format=own_format))
        elif not os.path.isdir(path):
            files.append(read_prompt_file(path, use, stdin=stdin, listed=listed, box_format=own_format))
        elif use == "mask" and not is_root(Path(path)) and (folder := MaskFolder.of(Path(path))).paths:
            masks = folder
        else:
            files.append(read_prompt_folder(Path(path), use, box_format=own_format))
    if beside and not files and masks is None and not frame:
        found = read_beside(beside, box_format=box_format)
        files += [found] if found.entries or found.notes.lost else []
    return PromptSources(tuple(files), listed, masks, frame)


Key = Identifier | tuple[int, int]  # what files call a prompt, or the file and the entry where it has no id
WHOLE: Key = (-1, 0)  # of what is asked of an image as a whole


@dataclass(slots=True)
class _Joined:
    """One image while its prompts are joined: prompts and the ids they keep, by key."""

    image_id: int | None = None
    size: tuple[int, int] | None = None
    mentioned: bool = False
    prompts: dict[Key, RawPrompt] = field(default_factory=dict)
    kept: dict[Key, int] = field(default_factory=dict)

    def join(self, key: Key, use: Use, value: Any, category: Callable[[], int], score: float | None = None) -> None:
        """Add to the prompt of that key, else make it, in a category that is asked for only then."""
        prompt = self.prompts.get(key) or RawPrompt(0, category(), score=score)
        self.prompts[key] = replace(prompt, **{use: value})

    def numbered(self, file_name: str) -> list[RawPrompt]:
        """The prompts with their ids."""
        ids = {key: self.kept.get(key, n) for n, key in enumerate(self.prompts, first_id(file_name))}
        return [replace(prompt, annotation_id=ids[key]) for key, prompt in self.prompts.items()]


def bind_prompts(
    sources: PromptSources, images: Sequence[SourceImage], selection: Selection | None = None
) -> PromptTable:
    """The prompts of each image of the run: what files say of one object, by its id, is one prompt.

    An id stays what it is if it is an integer and of one image; all others follow from the name of the image and the
    place of the prompt in it. So nothing about an image depends on which others are in the run.

    Raises:
        HqsamError: a results list without images has no image id that is the stem of an image.
    """
    selection = selection or Selection()
    notes, outside = Notes(), []
    joined: dict[str, _Joined] = defaultdict(_Joined)
    categories = Categories(sources.files)
    owners: dict[int, str] = {}
    for file in [*filter(None, [sources.listed]), *sources.files]:
        notes.lost.extend(file.notes.lost)
        notes.remarks.extend(file.notes.remarks)
    for place, file in enumerate(sources.files):
        matches = match_images(file, images)
        notes.lost.extend(f"{file.path}: {doubt}" for doubt in matches.doubts)
        outside.extend(matches.outside)
        if file.unlisted and file.images and not matches.names and not matches.doubts:
            raise HqsamError(
                "a COCO results list, none of whose image ids is the name of an input",
                file=file.path,
                remedy="pass `images_json` FILE with the images they stand for",
            )
        for key, name in matches.names.items():
            own = joined[name]
            own.image_id = file.images[key].image_id if own.image_id is None else own.image_id
            own.size = own.size or file.images[key].size
            own.mentioned = own.mentioned or key not in file.silent
        _join_file(joined, place, file, matches.names, categories, owners, notes)
    names = [image.file_name for image in images]
    if sources.masks is not None:
        _join_masks(joined, sources.masks, names, categories, owners, notes)
    for name in names if sources.frame else ():
        joined[name].join(WHOLE, "whole_image", True, categories.default)
    if sources.files or sources.masks is not None:
        note(notes.remarks, "images that no prompt file mentions", [name for name in names if name not in joined])
    _tell_image_ids_apart(joined, notes)
    from_files = sources.masks is not None or any(file.use is not None for file in sources.files)
    table = {
        name: ImagePrompts(
            name,
            hash_id(name) if own.image_id is None else own.image_id,
            own.size,
            kept := selection.best(own.numbered(name)),
            len(own.prompts) - len(kept),
            (own.mentioned or bool(own.prompts)) if from_files else None,
        )
        for name, own in joined.items()
    }
    return PromptTable(table, categories.complete(), notes, outside, from_files)


def _join_file(
    joined: Mapping[str, _Joined],
    place: int,
    file: PromptFile,
    names: Mapping[Identifier, str],
    categories: Categories,
    owners: dict[int, str],
    notes: Notes,
) -> None:
    """Join the annotations of a file to the prompts of their images."""
    if file.use is None:
        return
    shared = _ids_of_several_images(file)
    met: set[tuple[str, Identifier]] = set()
    idle, renumbered = [], []
    for entry, annotation in enumerate(file.annotations):
        name = names.get(annotation.key)
        if name is None:
            idle.append(file.images[annotation.key].label)
            continue
        number = annotation.annotation_id
        again = number is not None and (name, number) in met
        key: Key = (place, entry) if number is None or again else number
        if number is not None:
            met.add((name, number))
        own = joined[name]
        if isinstance(key, int) and _can_stay(key, name, owners) and not shared:
            own.kept[key] = key
        if number is not None and key not in own.kept and file.numbered:
            renumbered.append(str(number))
        own.join(key, file.use, annotation.value, partial(categories.number, place, annotation), annotation.score)
    note(notes.lost, f"{file.path}: prompts that match no input", idle)
    note(notes.remarks, f"{file.path}: annotation ids that are no integers of one object, given anew", renumbered)


def _can_stay(number: int, name: str, owners: dict[int, str]) -> bool:
    """Whether a result of an image can have an id that a file gives it: of another image's prompt, it cannot."""
    return abs(number) < LARGEST_ANNOTATION_ID and owners.setdefault(number, name) == name


def _ids_of_several_images(file: PromptFile) -> bool:
    """Whether ids of the annotations begin again with each image, and so are no ids of a run."""
    owners: dict[Identifier, Identifier] = {}
    return any(
        a.annotation_id is not None and owners.setdefault(a.annotation_id, a.key) != a.key for a in file.annotations
    )


def _join_masks(
    joined: Mapping[str, _Joined],
    masks: MaskFolder,
    names: Sequence[str],
    categories: Categories,
    owners: dict[int, str],
    notes: Notes,
) -> None:
    """Join coarse masks to the prompts of their ids; one for an image as a whole belongs to its only prompt."""
    found = list(masks.of_images(names))
    counts = Counter(number for _, number, _ in found)
    for name, number, path in found:
        own = joined[name]
        key: Key = WHOLE if number is None else number
        if number is None and len(own.prompts) > 1:
            text = f"{masks.folder / path}: one mask for {len(own.prompts)} prompts of {name}; left out"
            notes.lost.append(text)
            continue
        if number is None and own.prompts:
            (key,) = own.prompts
        elif number is not None and number not in own.prompts and counts[number] == 1:
            own.kept |= {number: number} if _can_stay(number, name, owners) else {}
        own.join(key, "mask", masks.folder / path, categories.default)
    used = {path for _, _, path in found}
    idle = [*sorted(set(masks.paths.values()) - used), *masks.twins]
    note(notes.lost, f"{masks.folder}: masks that match no input", idle)


def _tell_image_ids_apart(joined: Mapping[str, _Joined], notes: Notes) -> None:
    """An id two images of the run share is left to the first; the others get one of their own."""
    owners: dict[int, str] = {}
    for name, own in joined.items():
        if own.image_id is not None and owners.setdefault(own.image_id, name) != name:
            notes.remarks.append(f"{name}: has the image id {own.image_id} of {owners[own.image_id]}; given a new one")
            own.image_id = None


def number_images(listed: PromptFile | None, images: Sequence[SourceImage]) -> PromptTable:
    """A table without prompts, for image ids that another file knows: those that it lists, else numbers as stems.

    `000000000139.jpg` is 139. Where two would share a number, and where the stem is none, the id follows from the name.
    """
    table = bind_prompts(PromptSources(() if listed is None else (listed,)), images)
    if listed is not None:
        return table
    stems = {image.file_name: integer(PurePosixPath(image.file_name).stem.lstrip("0") or "0") for image in images}
    counts = Counter(stems.values())
    own = {name: n for name, n in stems.items() if n is not None and n >= 0 and counts[n] == 1}
    notes = Notes()
    note(notes.remarks, "images whose names are no numbers, given ids of their own", [n for n in stems if n not in own])
    return PromptTable({name: ImagePrompts(name, n) for name, n in own.items()}, table.categories, notes)


def check_speaks(sources: PromptSources) -> None:
    """Raise an HqsamError where prompts are to be of images that have results, and a file of them says nothing."""
    for file in sources.files:
        if file.says_nothing:
            raise HqsamError(
                f"{file.kind} without any object, and it says of no image that there is none; the output has results, "
                "and nothing was touched",
                file=file.path,
                remedy="give the file of these images",
            )


def check_used(sources: PromptSources, table: PromptTable, images: Sequence[SourceImage]) -> None:
    """Raise an HqsamError where prompts were given and all of them are lost, whatever the reason."""
    if sources.frame or not sources.entries or any(own.prompts for own in table.images.values()):
        return
    if dropped := sum(own.dropped for own in table.images.values()):
        raise HqsamError(
            f"its {dropped} prompts are of these inputs, and `score_threshold` lets none through",
            file=sources.entries[0][0],
            remedy="lower it",
        )
    path, count, names = sources.entries[0]
    named = f"it names {some_of(names)}" if names else "it names no image"
    inputs = some_of(image.file_name for image in images)
    reason = next(iter([*table.outside, *table.notes.lost]), None)
    raise HqsamError(
        f"of its {count} prompts not one can be used; {named}, and the inputs are {inputs}",
        file=path,
        remedy="give the file of these images" if reason is None else f"the first trouble: {reason}",
    )
