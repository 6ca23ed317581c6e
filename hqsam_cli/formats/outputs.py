"""The outputs of a run: picture files written per image, label files and other files written at the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from ..errors import HqsamError, UsageError
from ..io.address_folder import AddressFolder
from ..io.copies import written_to
from ..io.output_folder import ImageFiles
from ..records import Category
from .coco import RunRecords
from .image_writer import ImageWriter
from .label_writer import LabelWriter

WriteRecords: TypeAlias = Callable[[Path, RunRecords], None]


class RecordsWriter:
    """A format with one file for all images, written at the end of a run.

    Args:
        path: path or URL of the file.
        write: function of a local path and the records; may write another file next to it.
        beside: suffix of that other file.
    """

    def __init__(self, path: Path | str, write: WriteRecords, beside: str | None = None) -> None:
        self.path, self._write, self._beside = path, write, beside

    def foreign(self) -> str | None:
        """An existing file, to report if no run wrote it; None if there is none."""
        if isinstance(self.path, str):
            return self.path if AddressFolder(self.path).names() else None
        places = [self.path, *([] if self._beside is None else [self.path.with_suffix(self._beside)])]
        return next((str(place) for place in places if place.is_file()), None)

    def close(self, run: RunRecords) -> None:
        """Write the file."""
        with written_to(self.path) as path:
            self._write(path, run)


Writer: TypeAlias = ImageWriter | LabelWriter | RecordsWriter
MakeWriter = Callable[[Path | str, list[Category]], Writer]


class Outputs:
    """The writers of a run.

    Args:
        place: output folder, or the output file of a single-file format; a path or URL.
        makers: factories of the writers of all formats.
        formats: selected formats.
        categories: categories of the results.

    Attributes:
        pictures, labels, files: writers of the selected formats, by kind.
    """

    def __init__(
        self,
        place: Path | str,
        makers: Mapping[str, MakeWriter],
        formats: Collection[str],
        categories: list[Category],
    ) -> None:
        self.writers: list[Writer] = [make(place, categories) for name, make in makers.items() if name in formats]
        self.pictures = [own for own in self.writers if isinstance(own, ImageWriter)]
        self.labels = [own for own in self.writers if isinstance(own, LabelWriter)]
        self.files = [own for own in self.writers if isinstance(own, RecordsWriter)]
        # Other formats may have files of an earlier run to remove. At a URL, looking for them would take requests.
        unwanted = [name for name in makers if name not in formats] if isinstance(place, Path) else []
        others = [makers[name](place, categories) for name in unwanted]
        self._all_pictures = [*self.pictures, *(own for own in others if isinstance(own, ImageWriter))]
        self._all_labels = [*self.labels, *(own for own in others if isinstance(own, LabelWriter))]

    def check_not_foreign(self) -> None:
        """Raise a UsageError if output files exist; for callers that know that no run wrote them."""
        for writer in self.writers:
            if (path := writer.foreign()) is not None:
                raise UsageError(
                    "already exists, and was not written by hqsam",
                    file=path,
                    remedy="pass `overwrite` to replace it, or choose another `output`",
                )

    def is_complete(self, file_name: str, count: int) -> bool:
        """Whether all pictures of an image with `count` results exist."""
        return all(writer.is_complete(file_name, count) for writer in self.pictures)

    def begin(self, known: Collection[str], categories: list[Category]) -> None:
        """Create folders, so that their errors are not reported per image, and find the labels of earlier runs.

        Args:
            known: images with results, in order.
            categories: in the order of class numbers, those of earlier runs first.

        Raises:
            OSError: a folder cannot be created.
        """
        for pictures in self.pictures:
            if isinstance(pictures.path, Path):
                pictures.path.mkdir(parents=True, exist_ok=True)
        for labels in self._all_labels:
            labels.number(categories)
            labels.begin(known)

    def remove(self, file_name: str, files: ImageFiles, *, pictures: bool = True) -> None:
        """Remove the output files of an image in every format, except those edited by hand.

        Args:
            pictures: also remove its pictures, not only its labels.
        """
        self._remove(file_name, files, [*(self._all_pictures if pictures else ()), *self._all_labels])

    def remove_unnoted(self, file_name: str, files: ImageFiles) -> None:
        """Remove pictures of an image without results, which a killed run may have left."""
        self._remove(file_name, files, self.pictures)

    def _remove(self, file_name: str, files: ImageFiles, writers: Sequence[ImageWriter | LabelWriter]) -> None:
        for writer in writers:
            with suppress(OSError):  # if nothing can be removed, nothing was written
                writer.remove(file_name, files)

    def close(self, run: RunRecords, cannot_write: Callable[[Path | str, OSError], HqsamError]) -> list[Path | str]:
        """Write labels and files about all images; return the paths or URLs of all outputs."""
        at_the_end: list[LabelWriter | RecordsWriter] = [*self.labels, *self.files]
        for writer in at_the_end:
            try:
                writer.close(run)
            except OSError as error:
                raise cannot_write(writer.path, error) from None
        return [writer.path for writer in self.writers]
