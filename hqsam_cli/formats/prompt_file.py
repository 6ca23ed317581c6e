"""What a prompt file says, whatever its format: small records, every number checked.

Nothing in a file is believed. What is wrong with one entry is a sentence in its `Notes`; what is wrong with the whole
file is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..configs import BoxFormat
from .values import Identifier, identifier, integer, some_of

Use = Literal["box", "points", "mask", "whole_image", "xyxyn"]
NameKind = Literal["name", "path_stem", "stem"]


@dataclass(frozen=True, slots=True)
class FileImage:
    """An image a file speaks of.

    Attributes:
        key: what annotations of the file call it.
        name: what the image file is called.
        kind: whether that is its name, its path without the suffix, or the stem of its name alone.
        image_id: the id the results keep, or None where it is no integer.
        size: (width, height) or None.
    """

    key: Identifier
    name: str
    kind: NameKind = "name"
    image_id: int | None = None
    size: tuple[int, int] | None = None

    @property
    def label(self) -> str:
        """What people know it by."""
        return f"image id {self.key}" if self.kind == "stem" else self.name


@dataclass(frozen=True, slots=True)
class FileAnnotation:
    """One object a file speaks of.

    Attributes:
        key: of its image.
        value: what the file was read for: corners of a box, in pixels or shares, points (n, 3), or a segmentation.
        annotation_id: or None where it has none.
        category: what the file calls its category, by id or by name, or None.
        category_name: that goes with the id, where the annotation has one itself.
        score: or None.
    """

    key: Identifier
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


@dataclass(frozen=True, slots=True)
class Contents:
    """What a reader finds in a document.

    Attributes:
        annotations: as they are, with the `image_id` of one of the images.
        categories: COCO categories; their `id` is an `Identifier`.
        unlisted: whether images are named by annotations alone.
        numbered: whether people gave the annotations ids; else those here only join what is read of a file twice.
        unread: how many more entries there are, which are none.
        box_format: what the four numbers of a box are, unless people say otherwise.
        silent: images that have no objects because nothing is said of these, or nothing that was understood.
    """

    images: Mapping[Identifier, FileImage]
    annotations: Sequence[Any]
    categories: Sequence[Mapping[str, Any]] = ()
    unlisted: bool = False
    numbered: bool = True
    unread: int = 0
    box_format: BoxFormat = "xywh"
    silent: Collection[Identifier] = ()


@dataclass(frozen=True, slots=True)
class PromptFile:
    """Everything a file or a folder says.

    Attributes:
        path: for messages.
        use: what it was read for.
        entries: how many annotations it has, be they sound or not.
        kind: what it was recognized as.
        silent: images whose objects it does not say, or says in annotations of which none can be used.
    """

    path: str
    use: Use | None
    images: Mapping[Identifier, FileImage]
    annotations: Sequence[FileAnnotation] = ()
    categories: Sequence[Mapping[str, Any]] = ()
    entries: int = 0
    unlisted: bool = False
    numbered: bool = True
    notes: Notes = field(default_factory=Notes)
    kind: str = ""
    silent: frozenset[Identifier] = frozenset()

    @property
    def says_nothing(self) -> bool:
        """Whether it was read for prompts, has none, and does not say so of any image."""
        return self.use is not None and not self.entries and self.silent.issuperset(self.images)


def read_images(items: Sequence[tuple[Any, Any, str]], notes: Notes) -> dict[Identifier, FileImage]:
    """Images by key.

    Args:
        items: the key of each image, what the file says of it, and what to call it in messages.
    """
    images: dict[Identifier, FileImage] = {}
    unnamed, repeated, renumbered = [], [], []
    for key_value, item, where in items:
        key = identifier(key_value)
        name = image_name(item) if isinstance(item, dict) else None
        if key is None or name is None:
            unnamed.append(where)
        elif key in images:
            repeated += [] if images[key].name == name else [where]
        else:
            given = item.get("id", item.get("image_id"))
            image_id = integer(given)
            width, height = integer(item.get("width")), integer(item.get("height"))
            size = (width, height) if width and height and width > 0 and height > 0 else None
            images[key] = FileImage(key, name, "name", image_id, size)
            renumbered += [name] if image_id is None and given is not None else []
    note(notes.lost, "images without an id or a file_name, left out", unnamed)
    note(notes.lost, "images with the id of an earlier one, left out", repeated)
    note(notes.remarks, "image ids that are no integers, given anew", renumbered)
    return images


def image_name(item: Mapping[str, Any]) -> str | None:
    """The name of an image that a file lists; LVIS gives a COCO address instead."""
    name = item.get("file_name")
    if not isinstance(name, str) or not name:
        name = item.get("coco_url")
    return name if isinstance(name, str) and name else None


def note(sentences: list[str], what: str, where: Sequence[str]) -> None:
    """A sentence that counts and names, where there is something to count."""
    if where:
        sentences.append(f"{what}: {len(where)} ({some_of(where)})")
