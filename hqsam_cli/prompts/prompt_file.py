"""What a prompt file says, whatever its format: images and annotations, every number checked.

Nothing in a file is believed. What is wrong with one entry is a note; what is wrong with the whole file is an error.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from ..configs import BoxFormat
from ..formats.segmentation import bounding_box, enclosing_box
from ..formats.values import Identifier, identifier, integer, number_or_none, read_numbers, short, some_of
from ..records import NormalizedPolygon, Segmentation
from .boxes import NORMALIZED, Size, corners

Use = Literal["box", "points", "mask"]
NameKind = Literal["name", "path_stem", "stem"]
# Of `RawPrompt`: what an annotation was read for, boxes in pixels or normalized.
PromptField: TypeAlias = Literal["box", "xyxyn", "points", "mask"]
COCO_FIELDS: Mapping[Use, str] = {"box": "bbox", "points": "points", "mask": "segmentation"}


@dataclass(frozen=True, slots=True)
class FileImage:
    """An image of a prompt file.

    Attributes:
        key: what annotations of the file call it.
        name: what the image file is called.
        kind: whether that is its name, its path without the suffix, or the stem of its name alone.
        image_id: the id the results keep, or None where it is no integer.
        size: (width, height) in pixels, or None.
    """

    key: Identifier
    name: str
    kind: NameKind = "name"
    image_id: int | None = None
    size: Size | None = None

    @property
    def label(self) -> str:
        """What people know it by."""
        return f"image id {self.key}" if self.kind == "stem" else self.name


@dataclass(frozen=True, slots=True)
class FileAnnotation:
    """One object of a prompt file.

    Attributes:
        key: of its image.
        field: what its value is.
        value: as that field of `RawPrompt`: corners of a box, points (n, 3), or a segmentation.
        annotation_id: or None where it has none.
        category: what the file calls its category, by id or by name, or None.
        category_name: that goes with the id, where the annotation has one itself.
        score: or None.
    """

    key: Identifier
    field: PromptField
    value: Any
    annotation_id: Identifier | None = None
    category: Identifier | None = None
    category_name: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Notes:
    """What people should know of what was read.

    Attributes:
        lost: sentences about prompts that will not be used.
        remarks: sentences about everything else.
    """

    lost: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def note(sentences: list[str], what: str, where: Sequence[str]) -> None:
    """A sentence that counts and names, where there is something to count."""
    if where:
        sentences.append(f"{what}: {len(where)} ({some_of(where)})")


@dataclass(slots=True)
class PromptFile:
    """All that a file or a folder says; a reader fills it.

    Attributes:
        path: for messages.
        use: what annotations are read for; None reads images and categories alone.
        categories: COCO categories; their `id` is an `Identifier`.
        given_format: what the user says that four numbers of a box are, or None.
        listed: the file that lists the images of a results list, or None.
        kind: what it was recognized as.
        box_format: what four numbers are if the user does not say it.
        unlisted: whether images are named by annotations alone.
        numbered: whether people gave the annotations ids; else those here only join what is read of a file twice.
        entries: how many annotations it has, valid or not.
        unread: images with annotations that could not be read, or of which the file does not say what is in them.
        ambiguous: boxes whose format follows from the file alone, with the size of the image.
        lost, remarks: where it was noted, by what; see `Notes`.
    """

    path: str
    use: Use | None
    images: dict[Identifier, FileImage] = field(default_factory=dict)
    annotations: list[FileAnnotation] = field(default_factory=list)
    categories: Sequence[Mapping[str, Any]] = ()
    given_format: BoxFormat | None = None
    listed: PromptFile | None = None
    kind: str = ""
    box_format: BoxFormat = "xywh"
    unlisted: bool = False
    numbered: bool = True
    entries: int = 0
    unread: set[Identifier] = field(default_factory=set)
    ambiguous: list[tuple[list[float], Size | None]] = field(default_factory=list)
    lost: dict[str, list[str]] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    _groups: dict[tuple[object, object], int] = field(default_factory=dict)

    @property
    def notes(self) -> Notes:
        """A sentence for each kind of note."""
        notes = Notes()
        for sentences, kinds in ((notes.lost, self.lost), (notes.remarks, self.remarks)):
            for what, where in kinds.items():
                note(sentences, f"{self.path}: {what}", where)
        return notes

    @property
    def silent(self) -> set[Identifier]:
        """Images whose objects it does not say, or says in annotations of which none can be used."""
        return self.unread.difference(annotation.key for annotation in self.annotations)

    @property
    def says_nothing(self) -> bool:
        """Whether it was read for prompts, has none, and does not say so of any image."""
        return self.use is not None and not self.entries and self.unread.issuperset(self.images)

    def lose(self, what: str, where: str) -> None:
        """Note what will not be used; `--strict` takes it for a failure."""
        self.lost.setdefault(what, []).append(where)

    def remark(self, what: str, where: str) -> None:
        """Note what people should know."""
        self.remarks.setdefault(what, []).append(where)

    def skip(self, what: str, where: str, image: Identifier | None = None) -> None:
        """Note an annotation that cannot be read, of an image if that is known."""
        self.entries += 1
        self.lose(what, where)
        self.unread |= set() if image is None else {image}

    def add_image(
        self,
        key: object,
        name: object,
        where: str,
        size: tuple[object, object] = (None, None),
        image_id: object = None,
        kind: NameKind = "name",
    ) -> None:
        """Add an image; `where` is what to call it in notes. Again with the same key and name, it changes nothing."""
        own = identifier(key)
        if own is None or not isinstance(name, str) or not name:
            self.lose("images without an id or a file_name, left out", where)
        elif own in self.images:
            if self.images[own].name != name:
                self.lose("images with the id of an earlier one, left out", where)
        else:
            width, height = (integer(n) or 0 for n in size)
            known = (width, height) if width > 0 and height > 0 else None
            self.images[own] = FileImage(own, name, kind, integer(image_id), known)
            if image_id is not None and self.images[own].image_id is None:
                self.remark("image ids that are no integers, given anew", name)

    def add(
        self,
        image: object,
        *,
        box: object = None,
        box_format: BoxFormat | None = None,
        points: object = None,
        segmentation: object = None,
        annotation_id: object = None,
        category: object = None,
        category_name: str | None = None,
        score: object = None,
        crowd: bool = False,
        group: Hashable | None = None,
    ) -> None:
        """Add an annotation of an image that was added, its values as the file has them; one without use is noted.

        Args:
            image: key of the image.
            box: four numbers; where there are none, the box is that of the segmentation.
            box_format: what these are, where the file leaves no doubt.
            points: a list of [x, y, 1 or 0].
            segmentation: COCO's, or a `NormalizedPolygon`.
            category: id or name, as `FileAnnotation`.
            group: polygons of an image with the same one are parts of one annotation.
        """
        key = identifier(image)
        is_part = key is not None and group is not None and isinstance(segmentation, list)
        known = self._groups.get((image, group)) if is_part else None
        self.entries += known is None
        if self.use is None:
            return
        if key is None or key not in self.images:
            what = "without image_id" if key is None else "of unlisted images"
            self.lose(f"annotations {what}, left out", f"entry {self.entries}" if key is None else f"image id {key}")
            return
        number = identifier(annotation_id)
        name = f"entry {self.entries}" if number is None else f"annotation {number}"
        where = f"{name} of {self.images[key].label}"
        if crowd:
            self.remark("crowd regions, left out", where)
            return
        given = {"box": box, "points": points, "mask": segmentation}[self.use]
        if given in (None, []) and not (self.use == "box" and segmentation):
            self.lose(f"annotations without {COCO_FIELDS[self.use]}, left out", where)
            self.unread.add(key)
            return
        try:
            field, value = self._geometry(given, box_format, segmentation, self.images[key].size)
        except ValueError as error:
            self.lose(f"annotations whose {COCO_FIELDS[self.use]} {error}, left out", f"{where}, {short(given)}")
            self.unread.add(key)
            return
        if known is not None:
            whole = self.annotations[known]
            self.annotations[known] = replace(whole, value=_united(whole.value, value))
            return
        if is_part:
            self._groups[image, group] = len(self.annotations)
        confidence = number_or_none(score)
        if confidence is None and score is not None:
            self.remark("scores that are no numbers, ignored", where)
        own = FileAnnotation(key, field, value, number, identifier(category), category_name, confidence)
        self.annotations.append(own)

    def _geometry(
        self, given: object, box_format: BoxFormat | None, segmentation: object, size: Size | None
    ) -> tuple[PromptField, Any]:
        """The value of an annotation, and what it is.

        Raises:
            ValueError: what is wrong with it, as the end of a sentence.
        """
        if self.use == "points":
            return "points", _points(given)
        if self.use == "mask":
            return "mask", _segmentation(given)
        numbers = read_numbers(given, 4)
        if box_format is None and numbers is not None:
            self.ambiguous.append((numbers, size))
        form = box_format or self.given_format or self.box_format
        try:
            return "xyxyn" if form in NORMALIZED else "box", corners(numbers, form)
        except ValueError:
            if isinstance(segmentation, NormalizedPolygon):
                return "xyxyn", enclosing_box(segmentation.xyn)
            around = bounding_box(segmentation, size)
            if around is None:
                raise
            return "box", around


def _united(whole: Any, part: Any) -> Any:
    """Polygons of one object, or the box around its boxes."""
    if isinstance(whole, list):
        whole.extend(part)
        return whole
    return enclosing_box([*whole, *part])


def _points(value: object) -> np.ndarray:
    """Points as float32 (n, 3): x, y, label."""
    rows = [[number_or_none(n) for n in row] if isinstance(row, list) else [] for row in _listed(value)]
    if not all(len(row) == 3 and None not in row and row[2] in (0, 1) for row in rows):
        raise ValueError("is not a list of [x, y, 1 or 0]")
    return np.array(rows, np.float32)


def _segmentation(value: object) -> Segmentation | NormalizedPolygon:
    """An RLE or polygons; their content is checked against the image."""
    if isinstance(value, NormalizedPolygon) or (isinstance(value, dict) and "counts" in value and "size" in value):
        return value
    return _listed(value)


def _listed(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("is of another kind")
    return value
