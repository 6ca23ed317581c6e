"""labelme's JSON: a file an image, with shapes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..io.places import is_address
from .label_writer import LabelWriter
from .run_records import RunRecords

VERSION = "5.5.0"  # of the form of the files


class LabelmeWriter(LabelWriter):
    """`labelme/<path of the image without its suffix>.json`: a polygon a part; parts of an object are a group."""

    suffix = ".json"

    def __init__(self, output: Path, run: RunRecords) -> None:
        super().__init__(output / "labelme", run)

    def label(self, record: dict[str, Any], path: Path) -> bytes:
        """See `LabelWriter`."""
        image = self.run.path_of(record["file_name"])
        document = {
            "version": VERSION,
            "flags": {},
            "shapes": [shape for annotation in record["annotations"] for shape in self._shapes(annotation)],
            "imagePath": image if is_address(image) else os.path.relpath(image, os.path.abspath(path.parent)),
            "imageData": None,
            "imageHeight": record["height"],
            "imageWidth": record["width"],
        }
        return json.dumps(document).encode("ascii")

    def _shapes(self, annotation: dict[str, Any]) -> list[dict[str, Any]]:
        parts = annotation["polygons"]["parts"]
        same = {
            "label": self.names[annotation["category_id"]],
            "score": annotation["score"],
            "group_id": annotation["id"] if len(parts) > 1 else None,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
        }
        corners = [zip(part[::2], part[1::2], strict=True) for part in parts]
        return [{**same, "points": [list(corner) for corner in part]} for part in corners]
