"""Brushes and other shapes of Label Studio."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hqsam_cli.prompts.run_lengths import decode_brush
from tests.prompts.readers.reading import masks, objects, read

LENGTHS = (3, 4, 8, 16)  # bits of the length of a run


def coded(mask: np.ndarray, color: tuple[int, int, int] = (255, 255, 255)) -> list[int]:
    """A brush as Label Studio writes it: runs of RGBA in row-major order, bit by bit."""
    rgba = np.zeros((*mask.shape, 4), np.uint8)
    rgba[mask] = (*color, 255)
    values = rgba.ravel().tolist()
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{n - 1:04b}" for n in LENGTHS)
    start = 0
    while start < len(values):
        end = start + 1
        while end < len(values) and values[end] == values[start] and end - start < 2**16:
            end += 1
        repeated = end - start > 1
        while not repeated and end < len(values) and end - start < 8 and values[end] != values[end - 1]:
            end += 1
        index = next(n for n, own in enumerate(LENGTHS) if end - start <= 2**own)
        bits += f"{int(repeated)}{index:02b}{end - start - 1:0{LENGTHS[index]}b}"
        bits += "".join(f"{n:08b}" for n in (values[start : start + 1] if repeated else values[start:end]))
        start = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[n : n + 8], 2) for n in range(0, len(bits), 8)]


# By `mask2rle` of label-studio-sdk 2.1.2.
RING = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 0, 1, 0], [0, 1, 1, 1, 0]], bool)
RING_CODED = [0, 0, 0, 80, 57, 27, 254, 23, 0, 183, 255, 56, 4, 127, 241, 128, 71, 255, 56, 5, 191, 248, 192, 0]


def test_a_brush_of_the_sdk_is_decoded() -> None:
    assert (decode_brush(RING_CODED, (5, 4)) == RING).all()  # type: ignore[union-attr]


@pytest.mark.parametrize("color", [(255, 255, 255), (12, 200, 12), (0, 0, 0), (1, 2, 3)])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (40, 30), (64, 48)])
def test_brushes_of_every_color_and_size(size: tuple[int, int], color: tuple[int, int, int]) -> None:
    mask = np.random.default_rng(0).random(size[::-1]) > 0.5
    mask[-1, -1] = True
    assert (decode_brush(coded(mask, color), size) == mask).all()  # type: ignore[union-attr]


def test_damaged_brushes_are_none() -> None:
    code = coded(RING)
    for damaged in ([], code[:8], code[:-3], [*code[:-3], 300], [*code[:-3], -1], None, "x", [255] * 100):
        assert decode_brush(damaged, (5, 4)) is None
    assert decode_brush(code, (4, 5)) is not None and decode_brush(code, (5, 5)) is None
    assert decode_brush([255, 255, 255, 252, *code[4:]], (2**15, 2**15)) is None


def region(**value: Any) -> dict[str, Any]:
    return {"id": "r", "original_width": 200, "original_height": 100, "image_rotation": 0, "value": value}


def test_regions_of_every_kind() -> None:
    truth = np.zeros((100, 200), bool)
    truth[20:40, 30:90] = True
    result = [
        region(format="rle", rle=coded(truth, (9, 8, 7)), brushlabels=["cat"]),
        region(x=50, y=50, radiusX=10, radiusY=10, rotation=90, ellipselabels=["dog"]),
        region(x=10, y=20, width=0.5, keypointlabels=["nose"]),
        region(vertices=[], vectorlabels=["x"]),
        region(format="rle", rle=coded(RING), brushlabels=["cat"]),
    ]
    document = [{"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"result": result}]}]
    file = read(document)
    assert objects(file) == [
        ("a.jpg", "cat", (30, 20, 90, 40)),
        ("a.jpg", "dog", pytest.approx((90, 30, 110, 70), abs=0.01)),
    ]
    text = "\n".join(file.notes.lost)
    assert "without bbox, skipped: 1" in text and "key points, skipped: 2 (region 4 of task 1, region 5 of" in text
    brush, ellipse = masks(document, 200, 100)
    assert (brush == truth).all() and ellipse.sum() == pytest.approx(200 * np.pi, rel=0.03)
    (point,) = objects(read(document, "points"))
    assert point[1] == "nose" and point[2].tolist() == [[20, 20, 1]]


def test_the_short_export_has_brushes_too() -> None:
    truth = np.zeros((100, 200), bool)
    truth[20:40, 30:90] = True
    size = {"original_width": 200, "original_height": 100}
    tag = [{"format": "rle", "rle": coded(truth), "brushlabels": ["cat"], **size}]
    (mask,) = masks([{"id": 1, "image": "a.jpg", "tag": tag}], 200, 100)
    assert (mask == truth).all()


def test_a_task_alone_is_read_like_a_list_of_it() -> None:
    task = {"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"result": [region(x=10, y=20, width=30, height=40)]}]}
    assert objects(read(task)) == objects(read([task])) != []


def test_annotations_of_another_tool_are_no_empty_task() -> None:
    other = {
        "id": "1",
        "data": {"path": "a.jpg"},
        "annotations": [{"geometry": {"type": "rectangle", "vertices": [0, 1]}}],
    }
    with pytest.raises(ValueError, match="annotations of Pixano"):
        read([other])
