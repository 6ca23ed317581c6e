"""Results stay what they are from version to version, or `RESULTS_REVISION` says that they are others."""

from __future__ import annotations

import json
from pathlib import Path

from pycocotools import mask as rle

from hqsam_cli.configs.run_identity import RESULTS_REVISION
from tests.golden_files import HASHES, MASKS, hashes_of_files, masks_of_lite

REMEDY = "raise RESULTS_REVISION in hqsam_cli/configs/run_identity.py, and run python -m tests.golden_files"


def test_every_format_has_the_files_that_it_had(tmp_path: Path) -> None:
    golden = json.loads(HASHES.read_text())
    made = hashes_of_files(tmp_path)
    changed = sorted(name for name in {*golden["files"], *made} if golden["files"].get(name) != made.get(name))
    assert not changed, f"other files than in revision {golden['revision']}: {changed[:5]}; {REMEDY}"
    assert golden["revision"] == RESULTS_REVISION, "run python -m tests.golden_files"


def test_the_embedded_model_makes_the_masks_that_it_made(tmp_path: Path) -> None:
    golden = {own["id"]: own for own in json.loads(MASKS.read_text())}
    made = {own["id"]: own for own in masks_of_lite(tmp_path)}
    assert golden.keys() == made.keys()
    for number, own in made.items():
        # Another processor may round a pixel otherwise.
        ious = rle.iou([own["segmentation"]], [golden[number]["segmentation"]], [0])
        assert ious[0][0] > 0.998, f"annotation {number} is another mask; {REMEDY}"
        assert abs(own["predicted_iou"] - golden[number]["predicted_iou"]) < 1e-3
