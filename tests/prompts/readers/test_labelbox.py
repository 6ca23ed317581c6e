"""Exports of Labelbox."""

from __future__ import annotations

import json
from typing import Any

from tests.prompts.readers.reading import masks, objects, read

BOX = {"top": 20.0, "left": 10.0, "height": 40.0, "width": 30.5}
POLYGON = [{"x": 10, "y": 5}, {"x": 30, "y": 5}, {"x": 30, "y": 25}, {"x": 10, "y": 25}, {"x": 10, "y": 5}]


def item(kind: str, **drawn: Any) -> dict[str, Any]:
    return {"feature_id": "f", "name": "Cat", "value": "cat", "annotation_kind": kind, "classifications": [], **drawn}


def row(name: str, *labels: list[dict[str, Any]], **data: str) -> dict[str, Any]:
    return {
        "data_row": {"id": "dr", "external_id": name, "row_data": f"https://host/x/{name}?Expires=1", **data},
        "media_attributes": {"height": 50, "width": 80, "mime_type": "image/jpeg"},
        "projects": {
            "p": {"labels": [{"label_kind": "Default", "annotations": {"objects": own}} for own in labels]},
        },
    }


ROWS = [
    row(
        "a.jpg",
        [
            item("ImageBoundingBox", bounding_box=BOX),
            item("ImagePolygon", polygon=POLYGON),
            item("ImagePoint", point={"x": 3, "y": 4}),
            item("ImageSegmentationMask", mask={"url": "https://api.labelbox.com/masks/1"}),
        ],
    ),
    row("b.jpg", []),
    row("c.jpg"),
    row("", [item("ImageBoundingBox", bounding_box=BOX)], global_key="d.jpg"),
    row("e.jpg", [item("ImageBoundingBox", bounding_box=BOX)], [item("ImageBoundingBox", bounding_box=BOX)]),
]


def test_rows_of_every_kind() -> None:
    file = read("\n".join(map(json.dumps, ROWS)))
    assert file.kind == "Labelbox"
    assert objects(file) == [
        ("a.jpg", "Cat", (10, 20, 40.5, 60)),
        ("a.jpg", "Cat", (10, 5, 30, 25)),
        ("d.jpg", "Cat", (10, 20, 40.5, 60)),
        ("e.jpg", "Cat", (10, 20, 40.5, 60)),
    ]
    assert {file.images[key].name for key in file.silent} == {"c.jpg"}
    assert [own.size for own in file.images.values()] == [(80, 50)] * 5
    text = "\n".join(file.notes.lost)
    assert "objects of the kind ImageSegmentationMask, skipped: 1 (object 4 of line 1)" in text
    assert "without labels of an image, skipped: 1 (line 3)" in text
    assert "of which the first counts: 1 (line 5)" in file.notes.remarks[0]


def test_a_single_row_and_a_list_are_the_same() -> None:
    for document in (ROWS[0], [ROWS[0]], json.dumps(ROWS[0])):
        assert len(objects(read(document))) == 2
    (mask,) = masks(ROWS[0], 80, 50)
    assert mask.sum() == 400 and mask[5:25, 10:30].all()
    (point,) = objects(read(ROWS[0], "points"))
    assert point[2].tolist() == [[3, 4, 1]]


def test_a_line_of_another_format_is_not_lost_in_silence() -> None:
    file = read("\n".join([json.dumps(ROWS[0]), json.dumps({"image": "z.jpg"})]))
    assert "lines that are not data rows, skipped: 1 (line 2)" in "\n".join(file.notes.lost)
