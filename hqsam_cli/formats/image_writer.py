"""Formats of picture files, written as soon as the masks of an image are predicted."""

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

    One per image, `<folder>/<path of the image><suffix>`, or without a suffix one per mask,
    `<folder>/<path of the image>/<annotation id>.png`.

    Called from several threads, in any process that works on the images.

    Args:
        output: path or URL of the output folder.
        categories: categories of the results.

    Attributes:
        path: folder shown to the user.
    """

    folder: ClassVar[str]
    suffix: ClassVar[str | None] = None

    def __init__(self, output: Path | str, categories: list[Category]) -> None:
        self.path = below(output, self.folder)
        self._output = open_folder(self.path)
        self.categories = categories

    def pictures(self, result: ImageResult) -> Iterable[bytes]:
        """The encoded picture of an image, or those of its masks, in order."""
        raise NotImplementedError

    def foreign(self) -> str | None:
        """An existing picture, to report if no run wrote it; None if there is none."""
        found = (name for name in sorted(self._output.names()) if self._is_picture(name))
        return next((self._output.place(name) for name in found), None)

    def is_complete(self, file_name: str, count: int) -> bool:
        """Whether all pictures of an image with `count` masks exist."""
        return len(self.names(file_name)) >= (count if self.suffix is None else 1)  # more if edited ones were kept

    def write(self, result: ImageResult) -> None:
        """Write the pictures of an image and remove those of an earlier run, except those edited by hand."""
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
        """Remove the pictures of an image, except those edited by hand."""
        files.remove(self._output, self.names(file_name))

    def take(self, file_name: str, source: ImageWriter, files: ImageFiles) -> None:
        """Replace the pictures of an image by those of another output, except those edited by hand."""
        self.remove(file_name, files)
        for name in source.names(file_name):
            self._output.take(name, source._output)

    def names(self, file_name: str) -> list[str]:
        """Names of the existing pictures of an image, relative to the folder of the format."""
        if isinstance(self._output, LocalFolder):
            if self.suffix is not None:
                name = f"{file_name}{self.suffix}"
                return [name] if (self._output.path / name).is_file() else []
            masks = (self._output.path / file_name).glob("*.png")
            return [f"{file_name}/{mask.name}" for mask in masks if MASK_NAME.fullmatch(mask.name)]
        return self._listed.get(file_name, [])

    @cached_property
    def _listed(self) -> Mapping[str, list[str]]:
        """Existing pictures at a URL by image, listed once."""
        images = defaultdict(list)
        for name in filter(self._is_picture, self._output.names()):
            images[posixpath.dirname(name) if self.suffix is None else name.removesuffix(self.suffix)].append(name)
        return images

    def _is_picture(self, name: str) -> bool:
        if self.suffix is not None:
            return name.endswith(self.suffix)
        return MASK_NAME.fullmatch(posixpath.basename(name)) is not None
