"""Formats that are pictures of an image, written as soon as its masks are there."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import ClassVar

from ..io.copies import below
from ..io.output_folder import LocalFolder, open_folder
from ..records import Category
from .ownership import ImageFiles
from .run_records import ImageResult

MASK_NAME = re.compile(r"-?\d+\.png")


class ImageWriter:
    """Pictures of the images of a run.

    One an image, `<folder>/<path of the image><suffix>`, or, without a suffix, one a mask,
    `<folder>/<path of the image>/<annotation id>.png`.

    Called from several threads, in whatever process works on the images.

    Args:
        output: the folder of the results, or its address.
        categories: of the results.

    Attributes:
        path: the folder that people look for.
    """

    folder: ClassVar[str]
    suffix: ClassVar[str | None] = None

    def __init__(self, output: Path | str, categories: list[Category]) -> None:
        self.path = below(output, self.folder)
        self._output = open_folder(self.path)
        self.categories = categories

    def pictures(self, result: ImageResult) -> Iterable[bytes]:
        """The content of the picture of an image, or of those of its masks, in their order."""
        raise NotImplementedError

    def foreign(self) -> str | None:
        """A picture that is there, for those who know that no run wrote it."""
        found = (name for name in sorted(self._output.names()) if self._is_picture(name))
        return next((self._output.place(name) for name in found), None)

    def is_complete(self, file_name: str, count: int) -> bool:
        """Whether the pictures of an image with so many masks are all there."""
        return len(self.names(file_name)) >= (count if self.suffix is None else 1)  # more, where somebody edited one

    def write(self, result: ImageResult) -> None:
        """Put the pictures of an image in place, and remove those of an earlier run; what somebody edited stays."""
        name, files = result.file_name, result.files
        if self.suffix is None:
            own = [f"{name}/{annotation['id']}.png" for annotation in result.annotations]
        else:
            own = [f"{name}{self.suffix}"]
        files.remove(self._output, [there for there in self.names(name) if there not in own])
        made = zip(own, self.pictures(result), strict=True)
        while some := dict(islice(made, self._output.at_once)):
            files.put(self._output, some)

    def remove(self, file_name: str, files: ImageFiles) -> None:
        """Remove the pictures of an image; what somebody edited stays."""
        files.remove(self._output, self.names(file_name))

    def take(self, file_name: str, source: ImageWriter, files: ImageFiles) -> None:
        """Have the pictures of an image that another output has, instead of its own; what somebody edited stays."""
        self.remove(file_name, files)
        for name in source.names(file_name):
            self._output.take(name, source._output)

    def names(self, file_name: str) -> list[str]:
        """Names, in the folder of the format, of the pictures of an image that are there."""
        if isinstance(self._output, LocalFolder):
            if self.suffix is not None:
                name = f"{file_name}{self.suffix}"
                return [name] if (self._output.path / name).is_file() else []
            masks = (self._output.path / file_name).glob("*.png")
            return [f"{file_name}/{mask.name}" for mask in masks if MASK_NAME.fullmatch(mask.name)]
        return self._listed.get(file_name, [])

    @cached_property
    def _listed(self) -> Mapping[str, list[str]]:
        """What there was at an address when it was first asked for, by the image."""
        images = defaultdict(list)
        for name in filter(self._is_picture, self._output.names()):
            images[posixpath.dirname(name) if self.suffix is None else name.removesuffix(self.suffix)].append(name)
        return images

    def _is_picture(self, name: str) -> bool:
        if self.suffix is not None:
            return name.endswith(self.suffix)
        return MASK_NAME.fullmatch(posixpath.basename(name)) is not None
