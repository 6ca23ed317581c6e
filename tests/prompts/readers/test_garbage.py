"""Any value may be anything in a file of another program."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from hqsam_cli.prompts.prompt_file import Use
from tests.prompts.readers import (
    test_darwin,
    test_labelbox,
    test_labelme,
    test_labelstudio,
    test_sa1b,
    test_supervisely,
    test_via,
)
from tests.prompts.readers.reading import read

VIA_3 = {
    "view": test_via.VIEWS,
    "file": test_via.FILES,
    "attribute": test_via.ATTRIBUTES,
    "metadata": {"1_a": {"vid": "1", "z": [], "xy": [2, 10, 20, 30, 40], "av": {"1": "0"}}},
}
BRUSH = test_labelstudio.region(format="rle", rle=test_labelstudio.RING_CODED, brushlabels=["cat"])
DOCUMENTS: dict[str, Any] = {
    "VIA": {"_via_img_metadata": test_via.IMAGES, "_via_attributes": test_via.OPTIONS},
    "VIA 3": VIA_3,
    "Create ML": [{"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": {"x": 1, "y": 2, "width": 3}}]}],
    "SA-1B": test_sa1b.document(1),
    "Darwin": test_darwin.ANNOTATIONS,
    "Darwin, masks": test_darwin.raster([0, 1, 1, 2, 0, 1, 2, 1, 1, 1, 0, 2, 2, 2, 0, 2]),
    "Supervisely": test_supervisely.OBJECTS,
    "Labelbox": [test_labelbox.ROWS[0]],
    "labelme": test_labelme.SHAPES,
    "Label Studio": [{"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"result": [BRUSH]}]}],
}
ODD: tuple[Any, ...] = (None, True, -1, 0, 1e308, 2**70, "x", "", [], [[]], [None], {}, {"a": {}}, [[1, 2], "x"])


def damaged(document: Any) -> Iterator[Any]:
    """Copies of a document with each of its values replaced, in turn."""

    def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        for key, own in (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        ):
            yield (*place, key)
            yield from places(own, (*place, key))

    for *place, last in places(document):
        for odd in ODD:
            changed = copy.deepcopy(document)
            parent = changed
            for key in place:
                parent = parent[key]
            parent[last] = odd
            yield changed


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_any_damage_is_survived(kind: str) -> None:
    uses: tuple[Use, ...] = ("box", "mask", "points")
    for use in uses:
        assert read(DOCUMENTS[kind], use, "a.jpg.json").kind == kind.partition(",")[0]
    for number, document in enumerate(damaged(DOCUMENTS[kind])):
        with suppress(ValueError):  # it is of no known format now
            read(document, uses[number % 3], "a.jpg.json")
