"""Results whose masks do not overlap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from hqsam_cli.errors import UsageError
from hqsam_cli.results.exclusive import exclusive
from hqsam_cli.results.stream import Results, open_results
from hqsam_cli.results.write import write_as, write_same
from tests.results.conftest import document


def saved(path: Path, value: Any) -> Results:
    path.write_text(json.dumps(value))
    return open_results(path)


def test_masks_in_files_share_no_pixel(tmp_path: Path) -> None:
    made = document("ab", first=1)  # a box of 2 x 3 in one of 10 x 5, whose score is higher
    made["annotations"][2]["score"] = 1.0
    made["annotations"][3]["score"] = 0.1
    made["annotations"].insert(1, {"id": 90, "image_id": 2, "category_id": 1, "bbox": [0, 0, 9, 9]})
    made["annotations"].append({**made["annotations"][0], "id": 91, "image_id": 2, "segmentation": [[1, 2]]})
    results = exclusive(saved(tmp_path / "x.json", made))
    assert write_same(tmp_path / "y.json", results, {}) == (2, 6)
    coco = COCO(str(tmp_path / "y.json"))
    assert (coco.anns[90], coco.anns[91]) == (made["annotations"][1], made["annotations"][-1])
    masks = {number: coco.annToMask(coco.anns[number]) for number in (2, 3, 4, 5)}
    assert [int(mask.sum()) for mask in masks.values()] == [0, 50, 6, 44]
    assert [coco.anns[number]["area"] for number in masks] == [0, 50, 6, 44]
    assert coco.anns[2]["bbox"] == [0, 0, 0, 0]
    assert (masks[4] + masks[5]).max() == 1
    assert coco.anns[3]["segmentation"] == made["annotations"][2]["segmentation"]  # as it was
    path, _ = write_as("coco", tmp_path / "z.json", results, {}, segmentation="rle")
    again = COCO(str(path))
    assert np.array_equal(again.annToMask(again.anns[5]), masks[5])


def test_equal_scores_give_pixels_to_the_smaller_mask(tmp_path: Path) -> None:
    made = document("a", first=1)
    for annotation in made["annotations"]:
        del annotation["score"]
    areas = [own["area"] for own in exclusive(saved(tmp_path / "x.json", made)).annotations()]
    assert areas == [6.0, 44]


def test_lists_have_no_images_to_group_by(tmp_path: Path) -> None:
    listed = saved(tmp_path / "x.json", document("a", first=1)["annotations"])
    with pytest.raises(UsageError, match="`exclusive`: a COCO results list has no images"):
        exclusive(listed)
