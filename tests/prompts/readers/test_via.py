"""Annotations and projects of VIA."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.prompts.readers.reading import masks, objects, read


def region(shape: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return {"shape_attributes": shape, "region_attributes": attributes}


RECT = {"name": "rect", "x": 10, "y": 20, "width": 30, "height": 40}
CIRCLE = {"name": "circle", "cx": 50, "cy": 60, "r": 8.5}
ELLIPSE = {"name": "ellipse", "cx": 50, "cy": 50, "rx": 20, "ry": 10, "theta": 1.5707963}
POLYGON = {"name": "polygon", "all_points_x": [10, 30, 30, 10], "all_points_y": [5, 5, 25, 25]}
POINT = {"name": "point", "cx": 3, "cy": 4}
LINE = {"name": "polyline", "all_points_x": [1, 2], "all_points_y": [3, 4]}
REGIONS = [
    region(RECT, name="cat", quality={"good": True}),
    region(CIRCLE, type="1"),
    region(ELLIPSE, kind={"dog": False, "fox": True}),
    region(POLYGON),
    region(POINT, name="nose"),
    region(LINE, name="tail"),
]
IMAGES = {
    "a.jpg1024": {"filename": "a.jpg", "size": 1024, "regions": REGIONS, "file_attributes": {}},
    "b.jpg99": {"filename": "b.jpg", "size": 99, "regions": [], "file_attributes": {}},
}
OPTIONS = {"region": {"type": {"type": "radio", "options": {"1": "wheel", "2": "door"}}}, "file": {}}


def test_regions_of_every_shape() -> None:
    file = read({"_via_settings": {}, "_via_img_metadata": IMAGES, "_via_attributes": OPTIONS})
    assert (file.kind, [image.name for image in file.images.values()]) == ("VIA", ["a.jpg", "b.jpg"])
    assert objects(file) == [
        ("a.jpg", "cat", (10, 20, 40, 60)),
        ("a.jpg", "wheel", pytest.approx((41.5, 51.5, 58.5, 68.5))),
        ("a.jpg", "fox", pytest.approx((40, 30, 60, 70), abs=1e-3)),
        ("a.jpg", "object", (10, 5, 30, 25)),
    ]
    assert [text.partition(": ")[2] for text in file.notes.lost] == [
        "annotations without bbox, skipped: 1 (region 5 of a.jpg)",
        "regions that are not boxes, circles, ellipses, polygons or points, skipped: 1 (region 6 of a.jpg1024)",
    ]
    assert file.silent == set()


def test_points_and_areas() -> None:
    file = read(IMAGES, "points")
    assert [(name, label, points.tolist()) for name, label, points in objects(file)] == [("a.jpg", "nose", [[3, 4, 1]])]
    circle, ellipse, polygon = masks(IMAGES, 100, 100)
    assert circle.sum() == pytest.approx(np.pi * 8.5**2, rel=0.04)
    assert ellipse.sum() == pytest.approx(np.pi * 200, rel=0.03) and ellipse[32:69, 50].all()
    assert polygon.sum() == 400 and polygon[5:25, 10:30].all()


def test_annotations_of_version_1() -> None:
    old = {"a.jpg": {"fileref": "", "size": 7, "filename": "a.jpg", "regions": {"0": region(RECT), "1": region(RECT)}}}
    assert [own[2] for own in objects(read(old))] == [(10, 20, 40, 60)] * 2
    damaged = read({**old, "b.jpg": {"filename": "b.jpg"}, "c.jpg": 5, "d.jpg": {"filename": "d.jpg", "regions": [7]}})
    assert len(damaged.annotations) == 2 and damaged.silent == {"b.jpg", "c.jpg", "d.jpg"}
    assert "without a list of regions, skipped: 2 (b.jpg, c.jpg)" in damaged.notes.lost[0]


VIEWS = {"1": {"fid_list": ["1"]}, "2": {"fid_list": [2]}}
FILES = {
    "1": {"fid": "1", "fname": "a.jpg", "type": 2, "loc": 1, "src": "a.jpg"},
    "2": {"fid": 2, "fname": "b.jpg", "type": 2, "loc": 1, "src": "b.jpg"},
}
ATTRIBUTES = {"1": {"aname": "Class", "type": 3, "options": {"0": "cat", "1": ""}}}


def test_a_project_of_version_3() -> None:
    metadata = {
        "1_a": {"vid": "1", "flg": 0, "z": [], "xy": [2, 10, 20, 30, 40], "av": {"1": "0"}},
        "1_b": {"vid": "1", "flg": 0, "z": [], "xy": [7, 10, 5, 30, 5, 30, 25, 10, 25], "av": {}},
        "2_c": {"vid": "2", "flg": 0, "z": [], "xy": [8, 20, 1, 30, 15, 20, 33, 2, 9], "av": {"1": "1"}},
        "2_d": {"vid": "2", "flg": 0, "z": [], "xy": [6, 20, 1, 30, 15], "av": {}},
        "2_e": {"vid": "2", "flg": 0, "z": [], "xy": [], "av": {"1": "0"}},
        "2_f": {"vid": "2", "flg": 0, "z": [1.5], "xy": [2, 10, 20, 30, 40], "av": {}},
        "2_g": {"vid": "9", "flg": 0, "z": [], "xy": [2, 10, 20, 30, 40], "av": {}},
    }
    document = {"project": {"pid": "x"}, "attribute": ATTRIBUTES, "file": FILES, "view": VIEWS, "metadata": metadata}
    file = read(document)
    assert file.kind == "VIA 3"
    assert objects(file) == [
        ("a.jpg", "cat", (10, 20, 40, 60)),
        ("a.jpg", "object", (10, 5, 30, 25)),
        ("b.jpg", "1", (2, 1, 30, 33)),
    ]
    unlisted, other = file.notes.lost[::-1] if "unlisted" in file.notes.lost[1] else file.notes.lost
    assert "of unlisted images, skipped: 1" in unlisted and "polygons or points, skipped: 2" in other
