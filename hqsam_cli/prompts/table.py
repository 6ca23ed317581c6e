"""One table of prompts from any number of files, bound to the images of a run."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from ..errors import HqsamError
from ..formats.prompt_file import FileAnnotation, PromptFile, Use, integer, some_of
from ..formats.yolo import CLASSES, yolo_annotations, yolo_categories
from ..records import ImagePrompts, Prompt, RawPrompt
from .match import label_files, match_names
from .read import read_prompt_file

AnyPrompt = TypeVar("AnyPrompt", Prompt, RawPrompt)
DEFAULT_CATEGORY = {"id": 1, "name": "object"}


@dataclass(slots=True)
class _Entry:
    """What is known of one image of the run; prompts by annotation id, in input order."""

    image_id: int | None = None
    size: tuple[int, int] | None = None
    prompts: dict[int, RawPrompt] = field(default_factory=dict)


class PromptTable:
    """Prompts of images by their names: files are added first, then `bind` joins them with the images of the run.

    Args:
        frame: give every image itself as the prompt.
        label_folder: boxes as YOLO label files; see `label_files`.
        mask_folder: coarse masks as PNGs: `<image>/<annotation id>.png`, `<image>.png` or `<stem>.png`.
        score_threshold: prompts that score less are dropped; those without a score stay.
        max_boxes: only the best of an image are kept.

    Attributes:
        categories: COCO categories the results keep.
        problems: sentences about what was left out.
        rejected: sentences about images whose names leave the image folder; the run ends with exit code 3.
        digests: by option, a hash of what was read for it.
    """

    def __init__(
        self,
        *,
        frame: bool = False,
        label_folder: Path | None = None,
        mask_folder: Path | None = None,
        score_threshold: float | None = None,
        max_boxes: int | None = None,
    ) -> None:
        self.categories: list[dict[str, Any]] = [] if label_folder is None else yolo_categories(label_folder)
        self.problems: list[str] = []
        self.rejected: list[str] = []
        self.digests: dict[str, str] = {}
        self._frame = frame
        self._label_folder = label_folder
        self._mask_folder = mask_folder
        self._score_threshold = score_threshold
        self._max_boxes = max_boxes
        self._files: list[tuple[PromptFile, Use, list[FileAnnotation]]] = []
        self._entries: dict[str, _Entry] = {}
        self._owners: dict[int, str] = {}  # the image of each annotation id
        self._largest_id = 0

    def for_image(self, file_name: str) -> ImagePrompts:
        """Prompts of an image; none where no file speaks of it."""
        entry = self._entries.get(file_name) or _Entry()
        image_id = hash_id(file_name) if entry.image_id is None else entry.image_id
        return ImagePrompts(file_name, image_id, entry.size, list(entry.prompts.values()))

    def detected(self, file_name: str, found: list[Prompt]) -> list[Prompt]:
        """What a detector found in an image, with ids, as far as the table lets it through.

        Annotation ids follow from the name of the image and the place in the list alone, so they stay what they are
        whatever happens to other images: more of them, fewer, or other boxes in them.
        """
        # Half of what image ids may be, so that three times as many still are exact in JSON.
        first = hash_id(file_name) // 2 + 1
        own = {n: replace(prompt, annotation_id=n) for n, prompt in enumerate(found, first)}
        return list(self._best(own).values())

    def digest(self, option: str) -> str:
        """A short hash of what was read for an option of `load_prompts`; `none` where nothing was."""
        return self.digests.get(option, "none")[:16]

    def add_file(self, file: PromptFile, use: Use) -> None:
        """Take in a file; its annotations that have no id of their own get one, whatever the images of the run."""
        self.problems += file.problems
        self.rejected += file.rejected
        self.categories = self.categories or list(file.categories)
        given = [a.annotation_id for a in file.annotations if a.annotation_id is not None]
        self._largest_id = max([self._largest_id, *given])
        taken: set[int] = set()
        numbered, repeated = [], []
        for annotation in file.annotations:
            number = annotation.annotation_id
            if number is None or number in taken:
                repeated += [] if number is None else [str(number)]
                number = self._fresh_id()
            taken.add(number)
            numbered.append(replace(annotation, annotation_id=number))
        self._say_renumbered(file.path, repeated)
        self._files.append((file, use, numbered))

    def bind(self, file_names: list[str]) -> None:
        """Find the prompts of each image of the run, once: by its name, else by a path that ends like it.

        Raises:
            HqsamError: a results list without images has no image id that is the stem of an image.
        """
        for file, use, numbered in self._files:
            names = self._bound_names(file, file_names)
            self._join(file.path, use, ((names[a.key], a) for a in numbered if a.key in names))
            idle = [file.images[a.key].label for a in numbered if a.key not in names]
            if idle:
                self.problems.append(f"{file.path}: prompts that match no input: {len(idle)} ({some_of(idle)})")
        if self._label_folder is not None:
            self._join(str(self._label_folder), "xyxyn", self._folder_boxes(self._label_folder, file_names))
        if self._mask_folder is not None:
            self._join(str(self._mask_folder), "mask", self._folder_masks(self._mask_folder, file_names))
        if self._frame:
            self._join("--frame", "whole_image", ((name, FileAnnotation("", True)) for name in file_names))
        without = [name for name in file_names if name not in self._entries]
        if without:
            self.problems.append(f"images that no prompt file mentions: {len(without)} ({some_of(without)})")
        self._tell_image_ids_apart()
        for entry in self._entries.values():
            entry.prompts = self._best(entry.prompts)
        self._complete_categories()

    def check_used(self, file_names: list[str]) -> None:
        """Raise an HqsamError where prompts were given and all of them are lost, whatever the reason."""
        if any(entry.prompts for entry in self._entries.values()):
            return
        given = [
            (file.path, file.entries, [image.label for image in file.images.values()]) for file, _, _ in self._files
        ]
        folders = [(self._label_folder, "*.txt"), (self._mask_folder, "*.png")]
        for folder, pattern in folders:
            if folder is not None:
                # A label file without a line says that its image has no objects.
                files = [path for path in folder.rglob(pattern) if path.is_file() and path.stat().st_size]
                names = sorted(str(path.relative_to(folder)) for path in files if path.name != CLASSES)
                given.append((str(folder), len(names), names))
        given = [(source, count, names) for source, count, names in given if count]
        if not given:
            return
        source, count, names = given[0]
        named = f"it names {some_of(names)}" if names else "it names no image"
        raise HqsamError(
            f"{source}: of its {count} prompts not one can be used; {named}, and the inputs are {some_of(file_names)}; "
            + (f"the first trouble: {self.problems[0]}" if self.problems else "give the file of these images")
        )

    def _bound_names(self, file: PromptFile, file_names: list[str]) -> dict[str, str]:
        """Names of images of the run by the keys the file has for them."""
        names, doubts = match_names(file, file_names)
        self.problems += [f"{file.path}: {doubt}" for doubt in doubts]
        if file.by_stem and file.images and not names and not doubts:
            raise HqsamError(
                f"{file.path}: a COCO results list, none of whose image ids is the name of an input; "
                "pass --images-json FILE with the images they stand for"
            )
        for key, name in names.items():
            entry = self._entries.setdefault(name, _Entry())
            entry.image_id = file.images[key].image_id if entry.image_id is None else entry.image_id
            entry.size = entry.size or file.images[key].size
        return names

    def _join(self, source: str, use: Use, items: Iterable[tuple[str, FileAnnotation]]) -> None:
        """Add to the prompt of the image that has the annotation's id already; else make a prompt."""
        elsewhere = []
        for name, annotation in items:
            prompts = self._entries.setdefault(name, _Entry()).prompts
            number = annotation.annotation_id
            if number is None:
                number = self._fresh_id()
            elif self._owners.get(number, name) != name:
                elsewhere.append(str(number))
                number = self._fresh_id()
            self._owners[number] = name
            self._largest_id = max(self._largest_id, number)
            prompt = prompts.get(number) or RawPrompt(number, annotation.category_id, score=annotation.score)
            prompts[number] = replace(prompt, **{use: annotation.value})
        self._say_renumbered(source, elsewhere)

    def _folder_boxes(self, folder: Path, file_names: list[str]) -> Iterable[tuple[str, FileAnnotation]]:
        """Boxes of a folder of label files; an image with an empty one is known to have none."""
        files, doubts = label_files(folder, file_names)
        self.problems += doubts
        for name in file_names:
            if name in files:
                self._entries.setdefault(name, _Entry())
                yield from ((name, annotation) for annotation in yolo_annotations(files[name], self.problems))

    def _folder_masks(self, folder: Path, file_names: list[str]) -> Iterable[tuple[str, FileAnnotation]]:
        """Coarse masks of a folder; one mask for an image as a whole belongs to its only prompt."""
        for name in file_names:
            numbered, whole = _masks_of(folder, name)
            for number, path in numbered:
                yield name, FileAnnotation("", path, number)
            if whole is not None:
                own = list(self._entries[name].prompts) if name in self._entries else []
                if len(own) > 1:
                    self.problems.append(f"{whole}: one mask for {len(own)} prompts of {name}; left out")
                else:
                    yield name, FileAnnotation("", whole, own[0] if own else None)

    def _fresh_id(self) -> int:
        self._largest_id += 1
        return self._largest_id

    def _say_renumbered(self, source: str, ids: list[str]) -> None:
        if ids:
            self.problems.append(
                f"{source}: annotation ids given to another before, replaced by new ones: {len(ids)} ({some_of(ids)})"
            )

    def _tell_image_ids_apart(self) -> None:
        """An id two images of the run share is left to the first; the others get one of their own."""
        owners: dict[int, str] = {}
        for name, entry in self._entries.items():
            if entry.image_id is not None and owners.setdefault(entry.image_id, name) != name:
                owner = owners[entry.image_id]
                self.problems.append(f"{name}: has the image id {entry.image_id} of {owner}; given a new one")
                entry.image_id = None

    def _best(self, prompts: dict[int, AnyPrompt]) -> dict[int, AnyPrompt]:
        """What the threshold and the number of boxes let through; no score beats any score."""
        threshold = -math.inf if self._score_threshold is None else self._score_threshold
        scores = {number: math.inf if p.score is None else p.score for number, p in prompts.items()}
        best = set(sorted(prompts, key=lambda number: -scores[number])[: self._max_boxes])
        return {number: p for number, p in prompts.items() if number in best and scores[number] >= threshold}

    def _complete_categories(self) -> None:
        """Describe every category a prompt has, so that readers of the results find it."""
        used = {p.category_id for entry in self._entries.values() for p in entry.prompts.values()}
        missing = sorted(used - {category["id"] for category in self.categories})
        self.categories += [{"id": n, "name": f"category {n}"} if n != 1 else DEFAULT_CATEGORY for n in missing]
        self.categories = self.categories or [DEFAULT_CATEGORY]


def _masks_of(folder: Path, name: str) -> tuple[list[tuple[int, Path]], Path | None]:
    """PNGs of an image by annotation id, and the one that is for the image as a whole."""
    own = folder / name
    # os.path rather than pathlib, which raises where a name is too long.
    if os.path.isdir(own):
        stems = (path.stem for path in own.glob("*.png"))
        numbers = sorted((int(stem), stem) for stem in stems if stem.isascii() and stem.isdigit())
        return [(number, own / f"{stem}.png") for number, stem in numbers if integer(number) is not None], None
    for path in (f"{own}.png", f"{os.path.splitext(own)[0]}.png"):
        if os.path.isfile(path):
            return [], Path(path)
    return [], None


def hash_id(file_name: str) -> int:
    """An image id for a name that has none: 52 bits of its SHA-256, which JSON numbers hold exactly."""
    return int(hashlib.sha256(os.fsencode(file_name)).hexdigest()[:13], 16)


def load_prompts(
    *,
    boxes: str | None = None,
    images_json: str | None = None,
    points: str | None = None,
    coarse_masks: str | None = None,
    frame: bool = False,
    score_threshold: float | None = None,
    max_boxes: int | None = None,
    stdin: BinaryIO | None = None,
) -> PromptTable:
    """The table of everything the command line names; `bind` it to the images before use.

    Args:
        boxes, points: COCO instances, COCO results or NDJSON files, or `-` for `stdin`; boxes may be a folder of YOLO
            label files.
        images_json: the file that lists the images of results lists.
        coarse_masks: such a file, or a folder of PNGs.

    Raises:
        HqsamError: a file cannot be read, or is of another kind.
    """
    labels, masks = (Path(path) if path is not None and os.path.isdir(path) else None for path in (boxes, coarse_masks))
    table = PromptTable(
        frame=frame, label_folder=labels, mask_folder=masks, score_threshold=score_threshold, max_boxes=max_boxes
    )
    listed = None
    if images_json is not None:
        listed = read_prompt_file(images_json, None, stdin=stdin)
        table.digests["images_json"] = listed.digest
        table.problems += listed.problems
        table.rejected += listed.rejected
    uses: list[tuple[str, str | None, Use]] = [
        ("boxes", boxes if labels is None else None, "box"),
        ("points", points, "points"),
        ("coarse_masks", coarse_masks if masks is None else None, "mask"),
    ]
    for option, path, use in uses:
        if path is not None:
            file = read_prompt_file(path, use, stdin=stdin, listed=listed)
            table.digests[option] = file.digest
            table.add_file(file, use)
    if listed is not None and not table.categories:
        table.categories = list(listed.categories)
    if labels is not None:
        table.digests["boxes"] = _folder_digest(labels, "*.txt")
    if masks is not None:
        table.digests["coarse_masks"] = _folder_digest(masks, "*.png")
    return table


def _folder_digest(folder: Path, pattern: str) -> str:
    """A hash of the files of a folder by name, size and time of change."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob(pattern)):
        try:
            status = path.stat()
            state = f"{status.st_size}\0{status.st_mtime_ns}"
        except OSError:  # whoever reads it will say so
            state = "unreadable"
        digest.update(os.fsencode(path) + f"\0{state}\0".encode())
    return digest.hexdigest()
