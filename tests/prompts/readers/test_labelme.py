"""Shapes of labelme."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.prompts.readers.reading import masks, objects, read


def shape(kind: str, points: list[list[float]], **more: Any) -> dict[str, Any]:
    return {"label": "cat", "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def document(*shapes: dict[str, Any]) -> dict[str, Any]:
    return {"version": "6.3.1", "shapes": [*shapes], "imagePath": "a.jpg", "imageHeight": 60, "imageWidth": 80}


def png(mask: np.ndarray) -> str:
    """As labelme writes masks: 0 and 1 in 8 bits."""
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


TRUTH = np.zeros((60, 80), bool)
TRUTH[10:30, 20:50] = True
TRUTH[15:20, 30:40] = False
TURNED = [[20.0, 10.0], [30.0, 20.0], [20.0, 30.0], [10.0, 20.0]]
SHAPES = document(
    shape("mask", [[20, 10], [49, 29]], mask=png(TRUTH[10:30, 20:50])),
    shape("oriented_rectangle", TURNED),
    shape("circle", [[40, 30], [43, 34]]),
    shape("point", [[3.5, 4]]),
    shape("linestrip", [[1, 2], [3, 4], [5, 6]]),
)


def test_shapes_of_every_kind() -> None:
    file = read(SHAPES, label="a.json")
    assert [own[1:] for own in objects(file)] == [
        ("cat", (20, 10, 50, 30)),
        ("cat", (10, 10, 30, 30)),
        ("cat", pytest.approx((35, 25, 45, 35))),
    ]
    text = "\n".join(file.notes.lost)
    assert "without bbox, skipped: 1 (shape 4" in text and "masks or points, skipped: 1 (shape 5)" in text
    mask, turned, circle = masks(SHAPES, 80, 60)
    assert (mask == TRUTH).all()
    assert turned.sum() == pytest.approx(200, rel=0.06) and circle.sum() == pytest.approx(25 * np.pi, rel=0.06)
    (point,) = objects(read(SHAPES, "points"))
    assert point[2].tolist() == [[3.5, 4, 1]]


def test_damaged_masks_are_skipped() -> None:
    corners = [[20.0, 10.0], [49.0, 29.0]]
    bomb = png(np.ones((2000, 2000), bool))
    for text in (bomb, "", None, 5, "no base64", png(np.zeros((20, 30), bool))):
        file = read(document(shape("mask", corners, mask=text)), "mask")
        assert file.annotations == [] and "shape 1" in file.notes.lost[0] and file.silent
