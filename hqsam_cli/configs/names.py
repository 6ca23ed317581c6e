"""Types and constants that several configs and formats share."""

from __future__ import annotations

from typing import Literal

MaskOutput = Literal["sum", "hq", "sam", "auto"]
Exif = Literal["apply", "ignore"]
BoxFormat = Literal["xywh", "xyxy", "xyxyn", "cxcywhn", "xyxy1000", "yxyx1000", "qwen2.5"]
Crowds = Literal["keep", "drop"]
SegmentationKind = Literal["rle", "polygon", "both"]
Engine = Literal["local", "ray"]
Windows = Literal["auto", "on", "off"]
BoxFileFormat = Literal["coco", "results", "yolo", "ndjson"]

DEFAULT_MAX_PIXELS = 200_000_000  # per image; larger images fail
DEFAULT_TOLERANCE = 0.35  # pixels between polygon and mask outline
DEFAULT_MODEL, MODEL_VARIABLE = "lite", "HQSAM_MODEL"
STDIN = "-"  # also stdout
