"""labelme JSON: one file of shapes per image."""

from __future__ import annotations

import json
import os
from typing import Any

from ..io.addresses import is_address
from ..records import Annotation, ImageRecord
from .label_writer import LabelWriter

VERSION = "5.5.0"  # of the file format


class LabelmeWriter(LabelWriter):
    """`labelme/<path of the image without its suffix>.json`: one polygon per mask part, grouped by object."""

    name = "labelme"
    suffix = ".json"

    def label(self, record: ImageRecord, place: str) -> bytes:
        """See `LabelWriter`."""
        image = record.path
        assert record.size is not None
        width, height = record.size
        document: dict[str, Any] = {
            "version": VERSION,
            "flags": {},
            "shapes": [shape for annotation in record.annotations for shape in self._shapes(annotation)],
            "imagePath": image
            if is_address(image)
            else os.path.relpath(image, os.path.abspath(os.path.dirname(place))),
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        return json.dumps(document).encode("ascii")

    def _shapes(self, annotation: Annotation) -> list[dict[str, Any]]:
        parts = annotation["polygons"]["parts"]
        same: dict[str, Any] = {
            "label": self.names[annotation["category_id"]],
            "score": annotation["score"],
            "group_id": annotation["id"] if len(parts) > 1 else None,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
        }
        corners = [zip(part[::2], part[1::2], strict=True) for part in parts]
        return [{**same, "points": [list(corner) for corner in part]} for part in corners]
