"""Formats that are a picture an image."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from .ownership import ImageFiles
from .run_records import ImageResult, RunRecords


class PictureWriter:
    """`<folder>/<path of the image><suffix>`.

    Attributes:
        folder: of all of them.
        suffix: of their names.
    """

    fills_folder = True
    folder: ClassVar[str]
    suffix: ClassVar[str]

    def __init__(self, output: Path, _run: RunRecords) -> None:
        self.path = output / self.folder

    def place(self, file_name: str) -> Path:
        """Where the picture of an image is."""
        return self.path / f"{file_name}{self.suffix}"

    def foreign(self) -> Path | None:
        """See `Writer`."""
        return next(self.path.rglob(f"*{self.suffix}"), None)

    def is_complete(self, file_name: str, count: int) -> bool:
        """See `Writer`."""
        return self.place(file_name).is_file()

    def write(self, result: ImageResult) -> None:
        """See `Writer`."""
        raise NotImplementedError

    def remove(self, file_name: str, files: ImageFiles) -> None:
        """See `Writer`."""
        files.remove(self.place(file_name))

    def close(self) -> None:
        """Nothing: all is in place."""
