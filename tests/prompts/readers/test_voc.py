"""Turned boxes in Pascal VOC XML."""

from __future__ import annotations

import math

import pytest

from tests.prompts.readers.reading import objects, read

ROTATED = "<cx>50</cx><cy>40</cy><w>20</w><h>10</h><angle>{}</angle>"
CORNERS = (
    "<x_left_top>10</x_left_top><y_left_top>20</y_left_top><x_right_top>30.5</x_right_top><y_right_top>12</y_right_top>"
    "<x_right_bottom>35</x_right_bottom><y_right_bottom>22</y_right_bottom>"
    "<x_left_bottom>14</x_left_bottom><y_left_bottom>31</y_left_bottom>"
)


def item(name: str, box: str) -> str:
    return f"<object><type>{name}</type><name>{name}</name><{name}>{box}</{name}></object>"


def test_turned_boxes_are_read_as_their_enclosing_box() -> None:
    boxes = [item("robndbox", ROTATED.format(angle)) for angle in (0, math.pi / 2, math.pi / 4)]
    boxes += [item("robndbox", CORNERS), item("robndbox", ROTATED.format("x"))]
    boxes += [item("bndbox", "<xmin>11</xmin><ymin>21</ymin><xmax>30</xmax><ymax>40</ymax>")]
    size = "<size><width>100</width><height>80</height></size>"
    file = read(f"<annotation><folder/>{size}{''.join(boxes)}</annotation>", label="a.xml")
    reach = 15 * math.sqrt(0.5)
    assert [own[2] for own in objects(file)] == [
        (40, 35, 60, 45),
        pytest.approx((45, 30, 55, 50)),
        pytest.approx((50 - reach, 40 - reach, 50 + reach, 40 + reach)),
        (10, 12, 35, 31),
        (10, 20, 30, 40),
    ]
    assert "without bbox, skipped: 1 (object 5 of a)" in file.notes.lost[0]
