"""Boxes of Create ML."""

from __future__ import annotations

import pytest

from hqsam_cli.prompts.readers.createml import read_createml
from tests.prompts.readers.reading import objects, read


@pytest.mark.parametrize(("image", "annotations"), [("image", "annotations"), ("imagefilename", "annotation")])
def test_boxes_are_given_by_their_centers(image: str, annotations: str) -> None:
    box = {"x": 120, "y": 164.5, "width": 230, "height": 119}
    document = [
        {image: "a.jpg", annotations: [{"label": "dog", "coordinates": box}], "verified": True},
        {image: "b.jpg", annotations: []},
        {image: "c.jpg", annotations: [{"label": "dog", "coordinates": {**box, "x": None}}]},
        {image: "d.jpg"},
    ]
    file = read(document)
    assert file.kind == "Create ML"
    assert objects(file) == [("a.jpg", "dog", (5, 105, 235, 224))]
    assert {file.images[key].name for key in file.images.keys() - file.silent} == {"a.jpg", "b.jpg"}
    assert len(file.notes.lost) == 2


def test_another_list_of_images_is_not_taken_for_it() -> None:
    document = [{"image": "a.jpg", "annotations": [{"bbox": [1, 2, 3, 4]}]}]
    file = read([{"image": "a.jpg", "annotations": []}])
    assert file.kind == "Create ML" and not file.silent
    assert not read_createml(document, file)
