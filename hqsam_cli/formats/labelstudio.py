"""Label Studio tasks with predictions, for manual correction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from .. import __version__
from ..io.atomic import write_file
from ..records import ImageRecord
from .coco import RunRecords, write_list
from .xml_text import xml_bytes

LOCAL_FILES = "/data/local-files/?d="  # where Label Studio serves files below LOCAL_FILES_DOCUMENT_ROOT
FROM, TO = "label", "image"  # names in the labeling interface


def write_tasks(path: Path, run: RunRecords) -> None:
    """Write one task per image, and the labeling interface as XML next to `path`."""
    names = {category["id"]: str(category["name"]) for category in run.categories}
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", {"name": TO, "value": f"${TO}"})
    labels = ElementTree.SubElement(view, "PolygonLabels", {"name": FROM, "toName": TO})
    for name in names.values():
        ElementTree.SubElement(labels, "Label", {"value": name})
    ElementTree.indent(view)
    write_file(path.with_suffix(".xml"), xml_bytes(view))
    version = f"hqsam {run.info.get('version', __version__)} {run.info.get('model', '')}".rstrip()
    write_list(path, (_task(record, names, version) for record in run.records() if record.failure is None))


def _task(record: ImageRecord, names: dict[int, str], version: str) -> Mapping[str, object]:
    image = LOCAL_FILES + quote(record.path.lstrip("/"), errors="surrogateescape")
    prediction = {"model_version": version, "result": list(_results(record, names))}
    return {"data": {TO: image, "file_name": record.file_name}, "predictions": [prediction]}


def _results(record: ImageRecord, names: dict[int, str]) -> Iterator[dict[str, Any]]:
    """One polygon per mask part, in percent of the image size; `meta` names its annotation."""
    assert record.size is not None
    width, height = record.size
    for annotation in record.annotations:
        for number, part in enumerate(annotation["polygons"]["parts"], 1):
            corners = zip(part[::2], part[1::2], strict=True)
            points = [[round(100 * x / width, 6), round(100 * y / height, 6)] for x, y in corners]
            yield {
                "id": f"{annotation['id']}-{number}",
                "type": "polygonlabels",
                "from_name": FROM,
                "to_name": TO,
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "score": annotation["score"],
                "meta": {"text": [f"annotation {annotation['id']}"]},
                "value": {"points": points, "closed": True, "polygonlabels": [names[annotation["category_id"]]]},
            }
