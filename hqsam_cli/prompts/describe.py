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
# JSON by keys that are in its first objects, at any depth.
DOCUMENTS: dict[tuple[str, ...], str] = {
    ("bbox_mode",): "records of detectron2",
    ("BoundingBox",): "labels of AWS Rekognition",
    ("boundingPoly",): "labels of Google Vision",
    ("detection_id", "predictions"): "predictions of Roboflow",
    ("_cls",): "samples of FiftyOne",
    ("bounding_box", "labels"): "labels of FiftyOne",
    ("items", "label_id"): "a data set of datumaro",
    ("shapes", "tracks", "tags"): "annotations of a CVAT job",
    ("item1", "pair_id"): "annotations of DeepFashion2",
    ("openlabel",): "OpenLABEL",
    ("itemMetadata",): "annotations of Dataloop",
    ("task_id", "response"): "a task of Scale AI",
    ("geometry", "vertices"): "annotations of Pixano",
    ("videos", "bboxes"): "tracks of YouTube-VIS",
    ("object_id", "synsets"): "objects of Visual Genome",
    ("properties", "geometry"): "a feature of GeoJSON, without the collection",
    ("frame_annotations",): "annotations of Objectron",
    ("imgHeight", "imgWidth", "polygon"): "polygons of Cityscapes",
    ("ispano",): "annotations of Mapillary",
    ("gtboxes",): "annotations of CrowdHuman",
    ("spans", "answer"): "annotations of Prodigy",
    ("sample_data_token",): "annotations of nuImages",
    ("classes", "tags", "projectType"): "the classes of a Supervisely project, without its objects",
}
DEEPEST = 6  # level of the keys that are looked at


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
    form, first = ("JSON Lines, first", document[0]) if isinstance(document, Lines) else ("JSON,", document)
    keys = _keys(first)
    known = next((what for own, what in DOCUMENTS.items() if keys.issuperset(own)), None)
    return f"{form} {_describe(first)}" if known is None else f"{known} ({form} {_describe(first)})"


def _keys(value: Any, depth: int = 0) -> set[str]:
    """The keys of an object and of what is in it, of a list those of the first entry."""
    if isinstance(value, list) and value and depth < DEEPEST:
        return _keys(value[0], depth + 1)
    if not isinstance(value, dict) or depth >= DEEPEST:
        return set()
    return {*value}.union(*(_keys(own, depth + 1) for own in value.values()))


def _describe(document: Any) -> str:
    if isinstance(document, dict):
        keys = [str(key) for key in document]
        return f"an object with the keys {', '.join(keys[:KEYS])}{', …' if len(keys) > KEYS else ''}"
    if isinstance(document, list) and document:
        return f"a list, first {_describe(document[0])}"
    return short(document)
