"""Darwin JSON of V7."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.prompts.readers.reading import masks, objects, read


def ring(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"x": x, "y": y} for x, y in pairs]


def square(low: float, high: float) -> list[dict[str, float]]:
    return ring((low, low), (high, low), (high, high), (low, high))


def document(*annotations: dict[str, Any], path: str = "/", **item: Any) -> dict[str, Any]:
    named = [{"id": f"id {n}", "name": "cat", "slot_names": ["0"], **own} for n, own in enumerate(annotations)]
    source = {"type": "image", "slot_name": "0", "width": 80, "height": 60, "source_files": [{"file_name": "x.jpg"}]}
    return {"version": "2.0", "item": {"name": "a.jpg", "path": path, "slots": [source], **item}, "annotations": named}


BOX = {"h": 40.0, "w": 30.5, "x": 10.0, "y": 15.0}
ELLIPSE = {"angle": np.pi / 2, "center": {"x": 40, "y": 30}, "radius": {"x": 20, "y": 10}}
ANNOTATIONS = document(
    {"bounding_box": BOX},
    {"bounding_box": {"h": 1, "w": 1, "x": 0, "y": 0}, "polygon": {"paths": [square(10, 40), square(20, 30)]}},
    {"ellipse": ELLIPSE},
    {"keypoint": {"x": 3.5, "y": 4}},
    {"line": {"path": square(1, 2)}},
    {"tag": {}},
    {"frames": {}, "ranges": [[0, 5]]},
    path="/sub/folder",
)


def test_annotations_of_every_kind() -> None:
    file = read(ANNOTATIONS, label="a.json")
    assert (file.kind, [(own.name, own.size) for own in file.images.values()]) == (
        "Darwin",
        [("sub/folder/a.jpg", (80, 60))],
    )
    assert [own[1:] for own in objects(file)] == [
        ("cat", (10, 15, 40.5, 55)),
        ("cat", (10, 10, 40, 40)),
        ("cat", pytest.approx((30, 10, 50, 50), abs=0.01)),
    ]
    text = "\n".join(file.notes.lost)
    assert "without bbox, skipped: 1" in text and "or key points, skipped: 2 (annotation 5, annotation 7)" in text


def test_paths_within_a_path_are_holes() -> None:
    polygon, ellipse = masks(ANNOTATIONS, 80, 60)
    truth = np.zeros((60, 80), bool)
    truth[10:40, 10:40] = True
    truth[20:30, 20:30] = False
    assert (polygon == truth).all() and ellipse.sum() == pytest.approx(np.pi * 200, rel=0.03)
    (point,) = objects(read(ANNOTATIONS, "points"))
    assert point[2].tolist() == [[3.5, 4, 1]]


def raster(runs: list[int]) -> dict[str, Any]:
    layer = {"dense_rle": runs, "mask_annotation_ids_mapping": {"id 0": 1, "id 1": 2}, "total_pixels": 12}
    slot = {"type": "image", "slot_name": "0", "width": 4, "height": 3}
    return document({"mask": {}}, {"mask": {}, "name": "dog"}, {"raster_layer": layer}, slots=[slot])


def test_masks_are_in_the_raster_layer() -> None:
    runs = [0, 1, 1, 2, 0, 1, 2, 1, 1, 1, 0, 2, 2, 2, 0, 2]
    cat, dog = masks(raster(runs), 4, 3)
    assert cat.astype(int).tolist() == [[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert dog.astype(int).tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]]
    assert [own[1:] for own in objects(read(raster(runs)))] == [("cat", (1, 0, 3, 2)), ("dog", (0, 1, 2, 3))]
    for damaged in ([0, 13], [0, 12, 1], [0, -1, 1, 13], [0, 2**62], ["x", 12]):
        file = read(raster(damaged))  # type: ignore[arg-type]
        assert file.annotations == [] and file.entries == 2 and file.silent


def test_items_of_several_images_are_refused() -> None:
    with pytest.raises(ValueError, match="several slots"):
        read(document(slots=[{"slot_name": "0"}, {"slot_name": "1"}]))
