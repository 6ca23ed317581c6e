"""Segmentation dataset for ultralytics: `yolo-seg/data.yaml`, labels, classes, and links to images."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import ClassVar

import cv2
import numpy as np
import yaml

from ..configs import digest
from ..io.atomic import write_file
from ..io.links import link_image
from ..io.output_folder import ImageFiles, LocalFolder
from ..records import Annotation, Category, ImageRecord
from .coco import RunRecords
from .joining import join
from .label_writer import LabelWriter
from .rasterize import Parts
from .yolo import CLASSES, LABELS, class_lines

IMAGES = "images"  # ultralytics replaces it by `labels` in the path of an image
DECIMALS = 6  # about a hundredth of a pixel in a large image


class YoloSegWriter(LabelWriter):
    """`labels/`, and next to it `images/` with a link per image, as ultralytics derives label paths from image paths.

    A line is an object: its class, the index of the category, and one outline in which lines there and back join the
    parts of a mask, as in ultralytics' conversion of COCO. Empty masks have no line.

    Coordinates are pixel indices, not positions between pixels: ultralytics truncates coordinates and sets all pixels
    that the outline touches. A quarter of a pixel is added, so that readers which round get the same pixels.
    """

    name: ClassVar[str] = "yolo-seg"  # of the format and its folder
    suffix = ".txt"

    def __init__(self, output: Path | str, categories: list[Category]) -> None:
        assert isinstance(output, Path)  # links need a local folder
        super().__init__(output, categories)
        self.root = output / self.name
        self.folder = LocalFolder(self.root / LABELS)

    def label(self, record: ImageRecord, place: str) -> bytes:
        """See `LabelWriter`."""
        assert record.size is not None
        lines = []
        for annotation in record.annotations:
            outline = self.outline(annotation, *record.size)
            if outline is not None:
                numbers = " ".join(f"{number:.{DECIMALS}f}" for number in outline.ravel())
                lines.append(f"{self.classes[annotation['category_id']]} {numbers}\n")
        return "".join(lines).encode()

    def outline(self, annotation: Annotation, width: int, height: int) -> np.ndarray | None:
        """The outline of an object, normalized x, y (n, 2); None of an empty mask."""
        parts = annotation["polygons"]["parts"]
        return (joined(parts) + 0.25) / [width, height] if parts else None

    def beside(self, record: ImageRecord, name: str) -> None:
        """Link the image under the name of its label, or copy it if the file system has no links."""
        link_image(self._image(name, record.file_name), record.path)

    def note(self, record: ImageRecord, files: ImageFiles, *, is_new: bool) -> None:
        """See `LabelWriter`."""
        super().note(record, files, is_new=is_new)
        if not is_new:
            self._remove_links(record.file_name)

    def remove(self, file_name: str, files: ImageFiles) -> None:
        """See `LabelWriter`."""
        super().remove(file_name, files)
        self._remove_links(file_name)

    def close(self, run: RunRecords) -> None:
        """See `LabelWriter`."""
        super().close(run)
        write_file(self.root / CLASSES, class_lines(run))
        # Without `path`, the root is the folder of this file, so it can be moved.
        data = {"train": IMAGES, "val": IMAGES, "names": dict(enumerate(self.names.values()))}
        comment = b"# The same images twice: split them before you trust what training says of itself.\n"
        write_file(
            self.root / "data.yaml", comment + yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode()
        )

    def _remove_links(self, file_name: str) -> None:
        for name in self.label_names(file_name):
            link = self._image(name, file_name)
            if link.is_symlink():  # photos added by hand are kept
                link.unlink()

    def _image(self, name: str, file_name: str) -> Path:
        """The image path that ultralytics expects for a label."""
        return self.root / IMAGES / f"{name.removesuffix(self.suffix)}{PurePosixPath(file_name).suffix}"

    def label_names(self, file_name: str) -> tuple[str, ...]:
        """See `LabelWriter`; without folders named `images`, of which ultralytics replaces the last."""
        name = "/".join(part for part in file_name.split("/") if part != IMAGES)
        return *super().label_names(name)[:2], f"{name}.{digest(file_name)}{self.suffix}"


def joined(parts: Parts) -> np.ndarray:
    """The outline of an object in one ring, (n, 2) of pixel indices."""
    return join([np.floor(np.reshape(part, (-1, 2))) for part in parts])


def by_ultralytics(parts: Parts, width: int, height: int) -> np.ndarray:
    """The pixels inside or on the outline that is written of polygons, as in `ultralytics.data.utils.polygon2mask`."""
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [joined(parts).astype(np.int32)], (1,))
    return canvas
