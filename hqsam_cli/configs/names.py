"""Values that several configs and formats have names for."""

from __future__ import annotations

from typing import Literal

MaskOutput = Literal["sum", "hq", "sam"]
Exif = Literal["apply", "ignore"]
BoxFormat = Literal["xywh", "xyxy", "xyxyn", "cxcywhn"]
SegmentationKind = Literal["rle", "polygon", "both"]
Engine = Literal["local", "ray"]
BoxFileFormat = Literal["coco", "results", "yolo", "ndjson"]

DEFAULT_MAX_PIXELS = 200_000_000  # of an image; a larger one is refused
DEFAULT_TOLERANCE = 0.35  # pixels by which a polygon may be off
DEFAULT_MODEL, MODEL_VARIABLE = "lite", "HQSAM_MODEL"
STDIN = "-"  # and stdout
