"""One table of prompts from any number of files, bound to the images of a run."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from ..records import ImagePrompts, Prompt
from .files import FileImage, PromptFile, read_prompt_file

DEFAULT_CATEGORIES = [{"id": 1, "name": "object"}]
FIELDS = {"box": "bbox", "points": "points", "mask": "segmentation"}  # of a prompt, and what COCO calls them


@dataclass(slots=True)
class _Entry:
    """One image of the files and its prompts so far."""

    image: FileImage
    prompts: list[Prompt]


class PromptTable:
    """Prompts of images by their names.

    Attributes:
        categories: COCO categories the results keep.
        problems: sentences about what was dropped.
        rejected: sentences about images whose names leave the image folder; the run ends with exit code 3.
    """

    def __init__(self) -> None:
        self.categories: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self.rejected: list[str] = []
        self.frame = False
        self.mask_folder: Path | None = None
        self.digests: dict[str, str] = {}
        self._entries: dict[str, _Entry] = {}
        self._bound: dict[str, _Entry] = {}
        self._ids: Callable[[], int] = iter(range(1, 2**62)).__next__

    def for_image(self, file_name: str) -> ImagePrompts:
        """Prompts of an image; none where no file speaks of it."""
        entry = self._bound.get(file_name)
        image_id = entry.image.image_id if entry else None
        return ImagePrompts(
            file_name,
            hashed_id(file_name) if image_id is None else image_id,
            entry.image.size if entry else None,
            entry.prompts if entry else [],
        )

    def digest(self, option: str) -> str:
        """A short hash of what was read for an option of `load_prompts`; `none` where nothing was."""
        return self.digests.get(option, "none")[:16]

    def bind(self, file_names: list[str]) -> None:
        """Find the entry of each image of the run: by its name, else by a path that ends like it."""
        if not self.categories:
            self.categories = DEFAULT_CATEGORIES
        matches: dict[str, list[str]] = defaultdict(list)
        find = _Finder(self._entries)
        for name in file_names:
            found = find(name)
            if len(found) > 1:
                self.problems.append(f"{name}: could be any of {', '.join(found[:3])} in the prompt file; left out")
            elif found:
                matches[found[0]].append(name)
        for key, names in matches.items():
            exact = [name for name in names if name == key]
            if len(names) > 1 and not exact:
                self.problems.append(f"{key} in the prompt file could be any of {', '.join(names[:3])}; left out")
                continue
            self._bound[(exact or names)[0]] = self._entries[key]
        idle = [key for key, entry in self._entries.items() if key not in matches and entry.prompts]
        if idle:
            lost = sum(len(self._entries[key].prompts) for key in idle)
            some = ", ".join(idle[:3]) + (", …" if len(idle) > 3 else "")
            self.problems.append(f"{lost} prompts are of {len(idle)} images that are not among the inputs: {some}")
        if self.frame:
            for name in file_names:
                self._entry(name).prompts.append(Prompt(self._ids(), frame=True))
        if self.mask_folder is not None:
            for name in file_names:
                self._add_masks(name, self.mask_folder)

    def add_file(self, file: PromptFile, use: str, *, images: PromptFile | None = None) -> None:
        """Join a file into the table; an annotation whose id is there already adds to that prompt.

        Args:
            use: which of `box`, `points` and `mask` its annotations are read for.
            images: where the images of a results list are described.
        """
        self.problems += file.problems
        self.rejected += file.rejected
        known = file.images if images is None else {**file.images, **images.images}
        self.categories = self.categories or file.categories or (images.categories if images else [])
        there = {p.annotation_id: (e, i) for e in self._entries.values() for i, p in enumerate(e.prompts)}
        first_free = 1 + max([0, *there, *(a.annotation_id or 0 for a in file.annotations)])
        self._ids = iter(range(first_free, 2**62)).__next__
        taken = set(there)
        renamed = missing = 0
        for image in known.values():
            if image.file_name is not None:
                self._entry_of(image)
        for annotation in file.annotations:
            given = getattr(annotation, use)
            if given is None:
                missing += 1
                continue
            entry = self._entry_of(known[annotation.key])
            annotation_id = annotation.annotation_id
            joined, index = there.get(annotation_id, (None, 0)) if annotation_id is not None else (None, 0)
            if joined is entry:
                entry.prompts[index] = replace(entry.prompts[index], **{use: given})
                continue
            if annotation_id is None or annotation_id in taken:
                renamed += annotation_id is not None
                annotation_id = self._ids()
            taken.add(annotation_id)
            prompt = Prompt(annotation_id, annotation.category_id, score=annotation.score)
            entry.prompts.append(replace(prompt, **{use: given}))
        if missing:
            self.problems.append(f"{file.path}: {missing} annotations without a {FIELDS[use]}; ignored")
        if renamed:
            self.problems.append(f"{file.path}: {renamed} annotation ids were there before; given new ones")

    def keep_best(self, score_threshold: float | None, max_boxes: int | None) -> None:
        """Drop prompts that score less than the threshold, and all but the best of an image."""
        for entry in self._entries.values():
            kept = [
                p for p in entry.prompts if score_threshold is None or p.score is None or p.score >= score_threshold
            ]
            if max_boxes is not None and len(kept) > max_boxes:
                order = sorted(range(len(kept)), key=lambda i: -_score(kept[i]))[:max_boxes]
                kept = [kept[i] for i in sorted(order)]
            entry.prompts = kept

    def _entry_of(self, image: FileImage) -> _Entry:
        # A name with a slash in front cannot be that of a file, so it marks a stem.
        key = image.file_name if image.file_name is not None else f"/{image.key}"
        return self._entries.setdefault(key, _Entry(image, []))

    def _entry(self, name: str) -> _Entry:
        """The bound entry of an image of the run, made where there is none."""
        return self._bound.setdefault(name, _Entry(FileImage("", None, name, None), []))

    def _add_masks(self, name: str, folder: Path) -> None:
        """Coarse masks of an image: `<name>/<annotation id>.png`, else `<name>.png` or `<stem>.png`."""
        entry = self._entry(name)
        own = folder / name
        if own.is_dir():
            for number, path in sorted(_numbered(own)):
                for index, prompt in enumerate(entry.prompts):
                    if prompt.annotation_id == number:
                        entry.prompts[index] = replace(prompt, mask=path)
                        break
                else:
                    entry.prompts.append(Prompt(number, mask=path))
            return
        for path in (folder / f"{name}.png", (folder / name).with_suffix(".png")):
            if path.is_file():
                if not entry.prompts:
                    entry.prompts.append(Prompt(self._ids(), mask=path))
                elif len(entry.prompts) == 1:
                    entry.prompts[0] = replace(entry.prompts[0], mask=path)
                else:
                    self.problems.append(f"{path}: one mask for {len(entry.prompts)} prompts of {name}; left out")
                return


class _Finder:
    """Names of the entries that an image of the run can mean."""

    def __init__(self, entries: Iterable[str]) -> None:
        self.names: set[str] = set()
        self.tails: dict[str, list[str]] = defaultdict(list)
        self.stems: dict[str, str] = {}
        for name in entries:
            if name.startswith("/"):
                self.stems[_plain_number(name[1:])] = name
                continue
            self.names.add(name)
            for tail in _tails(name):
                self.tails[tail].append(name)

    def __call__(self, name: str) -> list[str]:
        if name in self.names:
            return [name]
        for tail in _tails(name):
            if tail in self.names:
                return [tail]
        if name in self.tails:
            return self.tails[name]
        stem = self.stems.get(_plain_number(PurePosixPath(name).stem))
        return [] if stem is None else [stem]


def _tails(name: str) -> Iterator[str]:
    """`b/c.jpg` and `c.jpg` of `a/b/c.jpg`, longest first."""
    while "/" in name:
        name = name.split("/", 1)[1]
        yield name


def _plain_number(text: str) -> str:
    """A number without leading zeros; anything else as it is."""
    return str(int(text)) if text.isascii() and text.isdigit() else text


def _numbered(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in folder.glob("*.png"):
        if path.stem.isascii() and path.stem.isdigit():
            yield int(path.stem), path


def _score(prompt: Prompt) -> float:
    return 1.0 if prompt.score is None else prompt.score


def hashed_id(file_name: str) -> int:
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

    Raises:
        HqsamError: a file cannot be read, or is of another kind.
    """
    table = PromptTable()
    table.frame = frame
    images = read_prompt_file(images_json, stdin) if images_json is not None else None
    if images is not None:
        table.digests["images_json"] = images.digest
    for option, path, use in (
        ("boxes", boxes, "box"),
        ("points", points, "points"),
        ("coarse_masks", coarse_masks, "mask"),
    ):
        if path is None:
            continue
        if use == "mask" and Path(path).is_dir():
            table.mask_folder = Path(path)
            table.digests[option] = path
            continue
        file = read_prompt_file(path, stdin)
        table.digests[option] = file.digest
        table.add_file(file, use, images=images)
    table.keep_best(score_threshold, max_boxes)
    return table
