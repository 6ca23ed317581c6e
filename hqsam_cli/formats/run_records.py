"""What a writer is given: the results of one image, or the records of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..records import Instance


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The masks of one image.

    Attributes:
        file_name: of the image, relative, with `/`.
        size: (width, height).
        instances: its masks.
        annotations: their COCO annotations, in the same order.
    """

    file_name: str
    size: tuple[int, int]
    instances: list[Instance]
    annotations: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RunRecords:
    """What is known of all images when a run ends.

    Attributes:
        records: called as often as a writer likes; each time the records of all images in order.
        categories: COCO categories.
    """

    records: Callable[[], Iterable[dict[str, Any]]]
    categories: list[dict[str, Any]]


class Writer(Protocol):
    """An output format. Every file of it appears whole or not at all."""

    @property
    def folder(self) -> Path | None:
        """The folder that `write` fills, or None."""

    def write(self, result: ImageResult) -> None:
        """Put the outputs of an image in place, and take away those of an earlier run; called from several threads."""

    def remove(self, file_name: str) -> None:
        """Take away what there may be of an image."""

    def close(self) -> Path:
        """Write what is about all images together; returns the file or folder that people look for."""
