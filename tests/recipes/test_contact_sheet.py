"""The picture of a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hqsam_cli.recipes import contact_sheet
from hqsam_cli.records import MaskCrop


def test_a_sheet_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imgs").mkdir()
    annotations, images = [], []
    for number, size in enumerate([(300, 200), (100, 400), (50, 50)], 1):
        Image.new("RGB", size, (10, 200, 30)).save(tmp_path / "imgs" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": size[0], "height": size[1]})
        crop = MaskCrop(np.ones((20, 20), bool), 5, 5, *size)
        annotations.append({"image_id": number, "category_id": 1, "score": 0.5, "segmentation": crop.rle})
    (tmp_path / "run").mkdir()
    results = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
    (tmp_path / "run/instances.json").write_text(json.dumps(results))
    sheet = tmp_path / "sheet.png"
    monkeypatch.setattr(sys, "argv", ["sheet", str(sheet), "--images", str(tmp_path / "imgs"), str(tmp_path / "run")])
    contact_sheet.main()
    pixels = np.asarray(cv2.imread(str(sheet)))
    assert pixels.shape[0] > 2 * contact_sheet.CELL_HEIGHT
    assert pixels.shape[1] > 4 * contact_sheet.CELL_WIDTH
