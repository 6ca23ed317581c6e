"""Types and constants that several configs and formats share."""

from __future__ import annotations

import re
from typing import Literal

MaskOutput = Literal["sum", "hq", "sam"]
Exif = Literal["apply", "ignore"]
BoxFormat = Literal["xywh", "xyxy", "xyxyn", "cxcywhn"]
SegmentationKind = Literal["rle", "polygon", "both"]
Engine = Literal["local", "ray"]
BoxFileFormat = Literal["coco", "results", "yolo", "ndjson"]

DEFAULT_MAX_PIXELS = 200_000_000  # per image; larger images fail
DEFAULT_TOLERANCE = 0.35  # pixels between polygon and mask outline
DEFAULT_MODEL, MODEL_VARIABLE = "lite", "HQSAM_MODEL"
STDIN = "-"  # also stdout

JOURNAL = "journal.ndjson"  # marks the output folder of a run
JOURNAL_FOLDER = "journal"  # of its objects, if the output is a URL
JOURNAL_OBJECT = re.compile(r"(\d{9})(?:-(\d{9}))?\.ndjson")
