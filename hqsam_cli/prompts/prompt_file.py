"""The content of a prompt file in any format: images and annotations, validated.

All input is validated. A problem of a single entry is noted; a problem of the whole file is an error.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np

from ..configs import BoxFormat
from ..formats.segmentation import bounding_box, enclosing_box
from ..formats.values import (
    FileCategory,
    Identifier,
    JsonObject,
    identifier,
    integer,
    note,
    number_or_none,
    read_numbers,
    short,
)
from ..formats.yolo import LABELS
from ..records import Box, MappedObject, NormalizedPolygon
from .boxes import NORMALIZED, Size, corners
from .class_names import ClassNames

Use = Literal["box", "points", "mask"]
Field = Literal["box", "xyxyn", "input_box", "points", "mask"]
COCO_FIELDS: Mapping[Use, str] = {"box": "bbox", "points": "points", "mask": "segmentation"}
UPLOADED = re.compile(r"(^|.*/)[0-9a-f]{8}-(?=[^/]+$)")  # prefix of files that were uploaded to Label Studio
NameKind = Literal["name", "path_stem", "stem"]


@dataclass(frozen=True, slots=True)
class FileImage:
    """An image of a prompt file.

    Attributes:
        key: identifier in annotations of the file.
        name: name of the image file.
        kind: whether `name` is the name, the path without suffix, or only the stem of the name.
        image_id: id kept in the results, or None if it is not an integer.
        size: (width, height) in pixels, or None.
        original: its name before another program renamed it, if known; used if no image has the other name.
    """

    key: Identifier
    name: str
    kind: NameKind = "name"
    image_id: int | None = None
    size: Size | None = None
    original: str | None = None

    @property
    def label(self) -> str:
        """Name of the image in messages."""
        return f"image id {self.key}" if self.kind == "stem" else self.name


@dataclass(frozen=True, slots=True)
class FileAnnotation:
    """One object of a prompt file.

    Attributes:
        key: key of its image.
        field: field of `RawPrompt` for `value`.
        category: id or name of its category in the file, or None.
        category_name: name next to the category id, if the annotation has one.
        crowd: what a crowd annotation has, or None if it is not one.
        numbers: four numbers of a box in the default format of the file, of which `value` is made.
        around: the box around its segmentation, to compare a box in a given format with; see `PromptFile.outlined`.
    """

    key: Identifier
    field: Field
    value: Any
    annotation_id: Identifier | None = None
    category: Identifier | None = None
    category_name: str | None = None
    score: float | None = None
    crowd: Literal["rle", "box"] | None = None
    numbers: list[float] | None = None
    around: Box | None = None


@dataclass(frozen=True, slots=True)
class Notes:
    """Messages for the user: about prompts that are not used, and other remarks."""

    lost: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(slots=True)
class PromptFile:
    """The content of a prompt file or folder, filled by a reader.

    Attributes:
        path: path in messages.
        label: path of this label file, relative to the folder of all; "" on stdin.
        classes: class names beside the labels.
        use: purpose of the annotations; None reads only images and categories.
        given_format: box format set by the user, or None.
        listed: the file that lists the images of a results list, or None.
        kind: recognized file format.
        box_format: default box format of the file.
        unsettled: whether boxes, read as `xywh`, may be `xyxy`; see `settle_sizes`.
        unlisted: whether images are named only by annotations.
        numbered: whether annotation ids come from the file; otherwise they only join prompts of a file that is read
            twice.
        entries: number of annotations, valid or not.
        features: GeoJSON by the key of its raster, which is to be known before its features are added.
        unread: images whose objects are missing or unreadable.
        lost, remarks: places by message; see `Notes`.
    """

    path: str
    use: Use | None
    images: dict[Identifier, FileImage] = field(default_factory=dict)
    annotations: list[FileAnnotation] = field(default_factory=list)
    categories: Sequence[FileCategory] = ()
    given_format: BoxFormat | None = None
    listed: PromptFile | None = None
    label: str = ""
    classes: ClassNames = field(default_factory=ClassNames)
    kind: str = ""
    box_format: BoxFormat = "xywh"
    unsettled: bool = False
    unlisted: bool = False
    numbered: bool = True
    entries: int = 0
    features: dict[Identifier, JsonObject] = field(default_factory=dict)
    unread: set[Identifier] = field(default_factory=set)
    lost: dict[str, list[str]] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    _groups: dict[object, int] = field(default_factory=dict)

    @property
    def notes(self) -> Notes:
        """One message per kind of note."""
        notes = Notes()
        for sentences, kinds in ((notes.lost, self.lost), (notes.remarks, self.remarks)):
            for what, where in kinds.items():
                note(sentences, f"{self.path}: {what}", where)
        return notes

    @property
    def silent(self) -> set[Identifier]:
        """Images whose objects are missing, or whose annotations are all unusable."""
        return self.unread.difference(annotation.key for annotation in self.annotations)

    @property
    def ambiguous(self) -> list[tuple[list[float], Size | None]]:
        """The numbers of boxes in the default format of the file, with the image size."""
        return [(a.numbers, self.images[a.key].size) for a in self.annotations if a.numbers is not None]

    @property
    def outlined(self) -> list[tuple[list[float], Box, Size | None]]:
        """The numbers of boxes in a given format, with those around their segmentations, and the image size."""
        return [
            (a.numbers, a.around, self.images[a.key].size)
            for a in self.annotations
            if a.numbers is not None and a.around is not None
        ]

    @property
    def says_nothing(self) -> bool:
        """Whether it was read for prompts, but has none, and lists no image as empty."""
        return self.use is not None and not self.entries and self.unread.issuperset(self.images)

    def lose(self, what: str, where: str, image: Identifier | None = None) -> None:
        """Note an unused prompt, with its image if known; a failure with `--strict`."""
        self.lost.setdefault(what, []).append(where)
        self.unread |= set() if image is None else {image}

    def remark(self, what: str, where: str) -> None:
        """Note a remark for the user."""
        self.remarks.setdefault(what, []).append(where)

    def skip(self, what: str, where: str, image: Identifier | None = None) -> None:
        """Note an unreadable annotation."""
        self.entries += 1
        self.lose(what, where, image)

    def add_image(
        self,
        key: object,
        name: object,
        where: str,
        size: tuple[object, object] = (None, None),
        image_id: object = None,
        kind: NameKind = "name",
        original: object = None,
    ) -> None:
        """Add an image, named `where` in notes. Adding the same key and name again has no effect."""
        own = identifier(key)
        if own is None or not isinstance(name, str) or not name:
            self.lose("images without an id or a file_name, skipped", where)
        elif own not in self.images:
            width, height = (integer(n) or 0 for n in size)
            known = (width, height) if width > 0 and height > 0 else None
            if not isinstance(original, str):
                uploaded = UPLOADED.sub(r"\1", name)
                original = uploaded if uploaded != name else None
            self.images[own] = FileImage(own, name, kind, integer(image_id), known, original)
            if image_id is not None and self.images[own].image_id is None:
                self.remark("image ids that are not integers, replaced", name)
        elif self.images[own].name != name:
            self.lose("images with the id of an earlier one, skipped", where)

    def add_label_image(self, size: tuple[object, object] = (None, None), name: object = None) -> str:
        """Add the image of a label file; return its key.

        Args:
            name: of the image, if the file says it; by default the image has the path of the label file, except for the
                suffix.

        Raises:
            ValueError: the path is unknown, and there is no name.
        """
        if isinstance(name, str) and name:
            self.add_image(self.label or name, name, self.label, size)
            return self.label or name
        if not self.label:
            raise ValueError("labels of an image without its name; pass a file of its name instead of stdin")
        *folders, name = PurePosixPath(self.label).with_suffix("").parts
        # As in ultralytics: train/labels/a.txt belongs to train/images/a.jpg.
        own = "/".join([*("images" if part == LABELS else part for part in folders), name])
        self.add_image(self.label, own, self.label, size, kind="path_stem")
        return self.label

    def size_of(self, key: object) -> Size | None:
        """The size of an added image, if known."""
        image = self.images.get(identifier(key) or "")
        return None if image is None else image.size

    def merge(self, part: PromptFile) -> None:
        """Add the content of a label file to that of its folder; keys in use by other entries get its path."""

        images = {k: self._free_key(k, part, self.images.get(k, image) != image) for k, image in part.images.items()}
        categories = self._merge_categories(part)
        self.images |= {images[key]: replace(image, key=images[key]) for key, image in part.images.items()}
        changed = any(key != own for keys in (images, categories) for key, own in keys.items())
        for a in part.annotations:
            category = None if a.category is None else categories.get(a.category, a.category)
            self.annotations.append(replace(a, key=images[a.key], category=category) if changed else a)
        self.features |= {images[key]: own for key, own in part.features.items()}
        self.unread |= {images[key] for key in part.unread}
        self.entries += part.entries
        self.numbered, self.box_format, self.unlisted = part.numbered, part.box_format, part.unlisted
        for notes, others in ((self.lost, part.lost), (self.remarks, part.remarks)):
            for what, where in others.items():
                notes.setdefault(what, []).extend(f"{part.label}: {own}" for own in where)

    def _merge_categories(self, part: PromptFile) -> dict[Identifier, Identifier]:
        """Add the categories of a label file; return their keys in this file by those in that."""
        if not part.categories or part.categories == self.categories:
            return {}
        known = {c["id"]: c["name"] for c in self.categories}
        keys = {
            c["id"]: self._free_key(c["id"], part, known.get(c["id"], c["name"]) != c["name"]) for c in part.categories
        }
        added: list[FileCategory] = [{**c, "id": keys[c["id"]]} for c in part.categories if keys[c["id"]] not in known]
        self.categories = [*self.categories, *added]
        return keys

    @staticmethod
    def _free_key(key: Identifier, part: PromptFile, used: bool) -> Identifier:
        return f"{part.label}: {key}" if used else key

    def add(
        self,
        image: object,
        annotation_id: object = None,
        category_name: str | None = None,
        *,
        category: object = None,
        box: object = None,
        box_format: BoxFormat | None = None,
        points: object = None,
        segmentation: object = None,
        score: object = None,
        crowd: bool = False,
        group: Hashable | None = None,
    ) -> None:
        """Add an annotation with unvalidated values; problems are noted.

        Args:
            image: key of an added image.
            category: as in `FileAnnotation`.
            box: four numbers; None uses the box of the segmentation.
            box_format: box format, if the file format defines it.
            points: a list of [x, y, 1 or 0].
            segmentation: COCO segmentation, or a `NormalizedPolygon`.
            group: polygons of an image with equal label and group are parts of one annotation.
        """
        key, number, own_category = map(identifier, (image, annotation_id, category))
        part = (image, category_name, group) if group is not None and isinstance(segmentation, list) else None
        known = self._groups.get(part)
        self.entries += known is None
        if self.use is None:
            return
        entry, name = f"entry {self.entries}", COCO_FIELDS[self.use]
        if key is None or key not in self.images:
            what, where = ("without image_id", entry) if key is None else ("of unlisted images", f"image id {key}")
            self.lose(f"annotations {what}, skipped", where)
            return
        named = entry if number is None else f"annotation {number}" if self.numbered else number
        where = f"{named} of {self.images[key].label}"
        given = {"box": box, "points": points, "mask": segmentation}[self.use]
        if given in (None, []) and not (self.use == "box" and segmentation):
            self.lose(f"annotations without {name}, skipped", where, key)
            return
        try:
            numbers = read_numbers(given, 4) if self.use == "box" else None
            field, value = self._read_value(given, numbers, box_format, segmentation, key)
        except ValueError as error:
            self.lose(f"annotations whose {name} {error}, skipped", f"{where}, {short(given)}", key)
            return
        confidence = number_or_none(score)
        if confidence is None and score is not None:
            self.remark("scores that are not numbers, ignored", where)
        if known is None:
            region: Literal["rle", "box"] | None = (
                None if not crowd else "rle" if isinstance(segmentation, dict) else "box"
            )
            numbers = None if crowd or box_format is not None else numbers
            around = None if numbers is None else self._around(segmentation, key)
            own = FileAnnotation(
                key, field, value, number, own_category, category_name, confidence, region, numbers, around
            )
            self.annotations.append(own)
            self._groups |= {} if part is None else {part: len(self.annotations) - 1}
        elif self.use == "mask":
            self.annotations[known].value.extend(value)
        else:
            whole = self.annotations[known]
            self.annotations[known] = replace(whole, value=enclosing_box([*whole.value, *value]))

    def _around(self, segmentation: object, image: Identifier) -> Box | None:
        """The box around a segmentation; None if a box in the given format cannot be compared with it.

        That is the case for pixels of another size, and for normalized coordinates in an image of unknown size.
        """
        size = self.images[image].size
        if self.given_format in (None, "qwen2.5") or (size is None and self.given_format in NORMALIZED):
            return None
        return bounding_box(segmentation, size)

    def _read_value(
        self,
        given: object,
        numbers: list[float] | None,
        box_format: BoxFormat | None,
        segmentation: object,
        image: Identifier,
    ) -> tuple[Field, Any]:
        """The field and value of an annotation; raises a ValueError whose message is the end of a sentence."""
        if self.use == "points":
            return "points", _read_points(given)
        if self.use == "mask":
            is_rle = isinstance(given, dict) and "counts" in given and "size" in given
            if not is_rle and not isinstance(given, list | NormalizedPolygon | MappedObject):
                raise ValueError("is neither RLE nor polygons")
            return "mask", given  # validated when decoded
        form = box_format or self.given_format or self.box_format
        try:
            read: Field = "xyxyn" if form in NORMALIZED else "input_box" if form == "qwen2.5" else "box"
            return read, corners(numbers, form)
        except ValueError:
            if isinstance(segmentation, NormalizedPolygon):
                return "xyxyn", enclosing_box(segmentation.xyn)
            around = bounding_box(segmentation, self.images[image].size)
            if around is None:
                raise
            return "box", around


def _read_points(value: object) -> np.ndarray:
    """Points as float32 (n, 3): x, y, label."""
    rows = [read_numbers(row, 3) for row in value] if isinstance(value, list) else [None]
    known = [row for row in rows if row is not None and row[2] in (0, 1)]
    if len(known) < len(rows):
        raise ValueError("is not a list of [x, y, 1 or 0]")
    return np.array(known, np.float32)
