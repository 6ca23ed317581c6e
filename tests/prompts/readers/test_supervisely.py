"""Files of Supervisely."""

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hqsam_cli.errors import HqsamError
from hqsam_cli.prompts.read import read_prompt_file
from tests.prompts.readers.reading import masks, objects, read

LABEL = "a.jpg.json"
# From the documentation of its SDK: a ring of 3 x 3 pixels.
RING = (
    "eJzrDPBz5+WS4mJgYOD19HAJAtLMIMwIInOeqf8BUmwBPiGuQPr///9Lb86/C2QxlgT5BTM4PLuRBuTwebo4hlTMSa44sKHhISMD"
    "uxpTYrr03F6gDIOnq5/LOqeEJgDM5ht6"
)


def item(kind: str, **drawn: Any) -> dict[str, Any]:
    return {"id": 1, "classId": 2, "geometryType": kind, "classTitle": "cat", "tags": [], **drawn}


def at(exterior: list[list[int]], *interior: list[list[int]]) -> dict[str, Any]:
    return {"exterior": exterior, "interior": list(interior)}


def document(*items: dict[str, Any]) -> dict[str, Any]:
    return {"description": "", "tags": [], "size": {"height": 60, "width": 80}, "objects": list(items)}


def square(low: int, high: int) -> list[list[int]]:
    return [[low, low], [high, low], [high, high], [low, high]]


OBJECTS = document(
    item("rectangle", points=at([[10, 20], [39, 49]])),
    item("polygon", points=at(square(10, 40), square(20, 30))),
    item("bitmap", bitmap={"data": RING, "origin": [7, 8]}),
    item("point", points=at([[3, 4]])),
    item("line", points=at([[3, 4], [5, 6]])),
)


def test_the_right_and_lower_pixels_are_inside() -> None:
    file = read(OBJECTS, label=LABEL)
    assert (file.kind, [(own.name, own.size) for own in file.images.values()]) == (
        "Supervisely",
        [("a.jpg", (80, 60))],
    )
    assert [own[1:] for own in objects(file)] == [
        ("cat", (10, 20, 40, 50)),
        ("cat", (10, 10, 41, 41)),
        ("cat", (7, 8, 10, 11)),
    ]
    text = "\n".join(file.notes.lost)
    assert "without bbox, skipped: 1" in text and "bitmaps or points, skipped: 1 (object 5)" in text


def test_holes_and_bitmaps_are_masks() -> None:
    polygon, bitmap = masks(OBJECTS, 80, 60, LABEL)
    assert polygon.sum() == pytest.approx(30 * 30 - 10 * 10, rel=0.01) and not polygon[21:29, 21:29].any()
    ring = np.zeros((60, 80), bool)
    ring[8:11, 7:10] = True
    ring[9, 8] = False
    assert (bitmap == ring).all()
    (point,) = objects(read(OBJECTS, "points", LABEL))
    assert point[2].tolist() == [[3, 4, 1]]


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA"])
def test_bitmaps_of_every_mode(mode: str, compressed: bool) -> None:
    truth = np.zeros((60, 80), bool)
    truth[10:30, 70:80] = truth[30, 75] = True
    crop = truth[10:31, 70:].astype(np.uint8)
    if mode == "RGBA":
        image = Image.fromarray(np.dstack([crop * 0, crop * 0, crop * 0, crop * 255]))
    else:
        image = Image.fromarray(crop * 255).convert("1") if mode == "1" else Image.fromarray(crop)
    if mode == "P":
        image.putpalette([0, 0, 0, 255, 255, 255])
    stream = io.BytesIO()
    image.save(stream, "PNG")
    content = zlib.compress(stream.getvalue()) if compressed else stream.getvalue()
    bitmap = {"data": base64.b64encode(content).decode(), "origin": [70, 10]}
    (mask,) = masks(document(item("bitmap", bitmap=bitmap)), 80, 60, LABEL)
    assert (mask == truth).all()


def test_bombs_and_damaged_bitmaps_are_skipped() -> None:
    stream = io.BytesIO()
    Image.new("1", (3000, 3000), 1).save(stream, "PNG")
    bomb = base64.b64encode(zlib.compress(stream.getvalue())).decode()
    bitmaps = [
        {"data": bomb, "origin": [0, 0]},
        {"data": base64.b64encode(zlib.compress(b"\0" * 10**7)).decode(), "origin": [0, 0]},
        {"data": RING[:40], "origin": [0, 0]},
        {"data": "no base64 \u00e9", "origin": [0, 0]},
        {"data": RING, "origin": [0, "x"]},
        {"data": RING, "origin": [80, 0]},
        {"data": RING, "origin": [-3, -3]},
    ]
    file = read(document(*(item("bitmap", bitmap=bitmap) for bitmap in bitmaps)), "mask", LABEL)
    assert file.annotations == [] and file.entries == 7 and "skipped: 7" in file.notes.lost[0]
    (shape,) = objects(read(document(item("bitmap", bitmap={"data": RING, "origin": [-1, 58]})), label=LABEL))
    assert shape[2] == (0, 58, 2, 60)


def test_a_project_is_a_file_an_image(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png"):
        path = tmp_path / f"ds/ann/{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document(item("rectangle", points=at([[1, 2], [3, 4]])))))
    for name in ("meta.json", "key_id_map.json"):
        (tmp_path / name).write_text('{"classes": [{"title": "cat", "shape": "rectangle"}], "tags": []}')
    root = read_prompt_file(str(tmp_path), "box")
    assert [own[0] for own in objects(root)] == ["ds/img/a.jpg", "ds/img/b.png"] and not root.notes.lost
    expected = [("img/a.jpg", "cat", (1, 2, 4, 5)), ("img/b.png", "cat", (1, 2, 4, 5))]
    assert objects(read_prompt_file(str(tmp_path / "ds"), "box")) == expected
    with pytest.raises(HqsamError, match="without its name"):
        read_prompt_file("-", "box", stdin=io.BytesIO(path.read_bytes()))
