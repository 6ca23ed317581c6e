"""What a file is that no reader of prompts accepts, for the error message."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any

from PIL import Image

from ..formats.values import short, text_of
from .readers.coco import Lines

HEAD = 10_000  # bytes of text that are looked at
KEYS = 8  # shown of an object
NUMBER = r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?"
# Text files by their first lines, blank ones left out.
TEXTS = {
    r"\S[^\n]*\.(?:jpe?g|png)\n\d+\n": "annotations of WIDER FACE",
    r"imagesource:": "DOTA labels",
    rf"(?:{NUMBER} ){{8}}[^\s\d]\S*(?: [0-2])?(?:\n|$)": "DOTA labels",
    rf"[^\s\d]\S*(?: {NUMBER}){{14,15}}(?:\n|$)": "KITTI labels",
    r"\d+(?:,\d+){7},?(?:\n|$)": "annotations of VisDrone",
    rf"\d+,-?\d+(?:,{NUMBER}){{7,8}}(?:\n|$)": "annotations of MOT Challenge",
    rf"\d+(?: {NUMBER}){{4}}(?:\n|$)": "YOLO labels, whose coordinates are not normalized",
    rf"\d+(?:,{NUMBER}){{4}}(?:\n|$)": "YOLO labels with commas instead of spaces",
    r"(?:[^\n]*\n)*?names\s*:": "the YAML of a YOLO dataset, not its labels",
    r"([^\n,;\t]*[,;\t]){2}[^\n]*(?:\n|$)": "a table without columns of images and corners",
}


def describe_content(content: bytes) -> str:
    """Describe a file that is not JSON and not XML."""
    if not content.strip():
        return "empty"
    if b"\0" in content[:HEAD] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return f"an image ({Image.open(BytesIO(content)).format})"
        except (OSError, Image.DecompressionBombError):
            return "binary data"
    text = re.sub(r"[ \t]*\r?\n\s*", "\n", text_of(content[:HEAD]).strip())
    what = next((what for pattern, what in TEXTS.items() if re.match(pattern, text)), "text")
    return f"{what}, with the first line {short(text.partition(chr(10))[0])}"


def describe_document(document: Any) -> str:
    """Describe parsed JSON."""
    if isinstance(document, Lines):
        return f"JSON Lines, first {_describe(document[0])}"
    return f"JSON, {_describe(document)}"


def _describe(document: Any) -> str:
    if isinstance(document, dict):
        keys = [str(key) for key in document]
        return f"an object with the keys {', '.join(keys[:KEYS])}{', …' if len(keys) > KEYS else ''}"
    if isinstance(document, list) and document:
        return f"a list, first {_describe(document[0])}"
    return short(document)
