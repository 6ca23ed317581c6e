"""A data set that ultralytics trains segmentation on: `yolo-seg/data.yaml`, labels, classes, and links to images."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from ..configs import digest
from ..io.atomic import atomic_file
from .label_writer import LabelWriter
from .ownership import ImageFiles
from .polygons import join
from .run_records import RunRecords
from .yolo import CLASSES, LABELS, write_classes

IMAGES = "images"  # for which ultralytics puts `labels`, to find the labels of an image
DECIMALS = 6  # a hundredth of a pixel of a large image


class YoloSegWriter(LabelWriter):
    """`labels/`, and beside it `images/` with a link to each image, since ultralytics looks for labels by their path.

    A line is an object: its class, which is the place of the category, and one outline, in which lines there and back
    join the parts of a mask, as ultralytics converts COCO. A mask without any pixel has no line.

    Corners are pixels rather than places between them: ultralytics takes the whole pixels of coordinates, and sets all
    that the outline touches. A quarter of a pixel more lets those who round get the same ones.
    """

    suffix = ".txt"

    def __init__(self, output: Path, run: RunRecords) -> None:
        super().__init__(output / "yolo-seg", run)
        self.folder = self.path / LABELS

    def label(self, record: dict[str, Any], path: Path) -> bytes:
        """See `LabelWriter`."""
        size = np.array([record["width"], record["height"]])
        lines = []
        for annotation in record["annotations"]:
            rings = [np.array(part).reshape(-1, 2) for part in annotation["polygons"]["parts"]]
            if rings:
                shares = ((np.floor(join(rings)) + 0.25) / size).ravel()
                outline = " ".join(f"{share:.{DECIMALS}f}" for share in shares)
                lines.append(f"{self.classes[annotation['category_id']]} {outline}\n")
        return "".join(lines).encode()

    def beside(self, record: dict[str, Any], path: Path) -> None:
        """The image, under the name of its labels: a link, or a copy where the disk knows no links."""
        image = self.run.path_of(record["file_name"])
        link = self._image(path, record["file_name"])
        if link.is_symlink():
            if os.readlink(link) == image:
                return
            link.unlink()
        elif link.exists():
            return
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            link.symlink_to(image)
        except OSError:
            shutil.copyfile(image, link)

    def remove(self, file_name: str, files: ImageFiles) -> None:
        """See `Writer`."""
        super().remove(file_name, files)
        if self.run.knows(file_name):
            for link in (self._image(own, file_name) for own in self.places_of(file_name)):
                if os.path.islink(link):  # a photo that somebody put there stays
                    link.unlink()

    def close(self) -> None:
        """See `Writer`."""
        super().close()
        write_classes(self.path / CLASSES, self.run)
        # Without `path` it is where this file is, so the folder can be moved.
        data = {"train": IMAGES, "val": IMAGES, "names": dict(enumerate(self.names.values()))}
        with atomic_file(self.path / "data.yaml") as file:
            file.write(b"# The same images twice: split them before you trust what training says of itself.\n")
            file.write(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode())

    def _image(self, path: Path, file_name: str) -> Path:
        """Where ultralytics looks for labels at `path`, seen from the other side."""
        below = path.relative_to(self.folder)
        return self.path / IMAGES / below.with_name(below.name[: -len(self.suffix)] + PurePosixPath(file_name).suffix)

    def label_names(self, file_name: str) -> tuple[str, ...]:
        """See `LabelWriter`; without folders called `images`, of which ultralytics replaces the last."""
        name = "/".join(part for part in file_name.split("/") if part != IMAGES)
        return *super().label_names(name)[:2], f"{name}.{digest(file_name)}{self.suffix}"
