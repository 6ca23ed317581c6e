"""Segmentation dataset for ultralytics: `yolo-seg/data.yaml`, labels, classes, parts, and links to images."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import ClassVar

import cv2
import numpy as np
import yaml

from ..configs import digest
from ..io.atomic import write_file
from ..io.digest import hash_fraction
from ..io.links import link_image
from ..io.output_folder import ImageFiles, LocalFolder
from ..records import Annotation, Category, ImageRecord
from .coco import RunRecords
from .joining import join
from .label_writer import LabelWriter
from .rasterize import Parts
from .yolo import CLASSES, LABELS, class_lines

IMAGES = "images"  # ultralytics replaces it by `labels` in the path of an image
TRAIN = 0.8  # of the images, those of `hqsam results split --parts train=0.8,val=0.2`; the others are for validation
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
        self._images: dict[str, str] = {}  # linked paths below the folder, by name

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
        link = self._image(name, record.file_name)
        link_image(link, record.path)
        self._images[record.file_name] = link.relative_to(self.root).as_posix()

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
        data = {**self._write_parts(), "names": dict(enumerate(self.names.values()))}
        write_file(self.root / "data.yaml", yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode())

    def _write_parts(self) -> dict[str, str]:
        """Write lists of images for training and validation; return their names, or the folder of all images for both.

        One list would be empty if there are few images. Names that a line of UTF-8 cannot hold, or that ultralytics
        reads as two, are only found in a folder.
        """
        parts: dict[str, list[str]] = {"train": [], "val": []}
        for name, path in self._images.items():
            parts["train" if hash_fraction(f"0/{name}") < TRAIN else "val"].append(path)
        if not all(parts.values()) or not all(map(_is_line, self._images.values())):
            for part in parts:
                (self.root / f"{part}.txt").unlink(missing_ok=True)
            return dict.fromkeys(parts, IMAGES)
        for part, paths in parts.items():
            write_file(self.root / f"{part}.txt", "".join(f"./{path}\n" for path in paths).encode())
        return {part: f"{part}.txt" for part in parts}

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


def _is_line(path: str) -> bool:
    """Whether a list of ultralytics can hold a path."""
    return path.isprintable() and path == path.strip() and "./" not in path


def joined(parts: Parts) -> np.ndarray:
    """The outline of an object in one ring, (n, 2) of pixel indices."""
    return join([np.floor(np.reshape(part, (-1, 2))) for part in parts])


def by_ultralytics(parts: Parts, width: int, height: int) -> np.ndarray:
    """The pixels inside or on the outline that is written of polygons, as in `ultralytics.data.utils.polygon2mask`."""
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [joined(parts).astype(np.int32)], (1,))
    return canvas
