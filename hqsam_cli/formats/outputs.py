"""All that a run writes, by when it is written: pictures with each image, labels and files of records in the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import HqsamError, UsageError
from ..records import Category, ImageRecord
from . import MakeWriter, Writer
from .image_writer import ImageWriter
from .label_writer import LabelWriter
from .ownership import ImageFiles
from .run_records import RecordsWriter, RunRecords


class Outputs:
    """The writers of a run, built once.

    Args:
        place: the folder of the results, or the path of what is one file, or the address of either.
        makers: of all formats.
        formats: those that are wanted.
        categories: of the results.

    Attributes:
        pictures, labels, files: the writers of the formats that are wanted.
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
        # Those that are not wanted may have files of an earlier run to remove. At an address they would have to be
        # asked for each.
        unwanted = [name for name in makers if name not in formats] if isinstance(place, Path) else []
        others = [makers[name](place, categories) for name in unwanted]
        self._all_pictures = [*self.pictures, *(own for own in others if isinstance(own, ImageWriter))]
        self._all_labels = [*self.labels, *(own for own in others if isinstance(own, LabelWriter))]

    def check_not_foreign(self) -> None:
        """Raise a UsageError where files would be replaced, for those who know that no run wrote them."""
        for writer in self.writers:
            if (path := writer.foreign()) is not None:
                raise UsageError(
                    "is there, and no run of this tool wrote it",
                    file=path,
                    remedy="pass `overwrite` to replace it, or choose another `output`",
                )

    def is_complete(self, file_name: str, count: int) -> bool:
        """Whether the pictures of an image with so many results are all there."""
        return all(writer.is_complete(file_name, count) for writer in self.pictures)

    def begin(self, known: Collection[str], categories: list[Category]) -> None:
        """Make folders, so that what is wrong with them is no image's fault, and find the labels of earlier runs.

        Args:
            known: the images that have results, in their order.
            categories: as labels count them, those of earlier runs first.

        Raises:
            OSError: a folder cannot be made.
        """
        for pictures in self.pictures:
            if isinstance(pictures.path, Path):
                pictures.path.mkdir(parents=True, exist_ok=True)
        for labels in self._all_labels:
            labels.number(categories)
            labels.begin(known)

    def note(self, record: ImageRecord, files: ImageFiles, *, is_new: bool) -> None:
        """Note what the labels of an image will be; see `LabelWriter.note`."""
        for writer in self.labels:
            writer.note(record, files, is_new=is_new)

    def remove(self, file_name: str, files: ImageFiles, *, pictures: bool = True) -> None:
        """Remove what an image that had results has, in whatever format; what somebody edited stays.

        Args:
            pictures: its pictures too, not only its labels.
        """
        self._remove(file_name, files, [*(self._all_pictures if pictures else ()), *self._all_labels])

    def remove_unnoted(self, file_name: str, files: ImageFiles) -> None:
        """Remove the pictures of an image that had no results: a run that was killed may have left some."""
        self._remove(file_name, files, self.pictures)

    def _remove(self, file_name: str, files: ImageFiles, writers: Sequence[ImageWriter | LabelWriter]) -> None:
        for writer in writers:
            with suppress(OSError):  # where nothing can be removed, nothing was written
                writer.remove(file_name, files)

    def close(self, run: RunRecords, cannot_write: Callable[[Path | str, OSError], HqsamError]) -> list[Path | str]:
        """Write what is about all images together; where people find all that was written."""
        at_the_end: list[LabelWriter | RecordsWriter] = [*self.labels, *self.files]
        for writer in at_the_end:
            try:
                writer.close(run)
            except OSError as error:
                raise cannot_write(writer.path, error) from None
        return [writer.path for writer in self.writers]
