"""Drawn scenes, and that the sample data is what the script draws."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hqsam_cli.recipes.sample_data import SCENES, sample_scene
from hqsam_cli.recipes.scenes import OBJECTS, render_scene

SAMPLE_DATA = Path(__file__).parents[2] / "sample_data"


def test_a_seed_is_a_scene() -> None:
    one, same, other = (render_scene(np.random.default_rng(seed), 96, 128, objects=3) for seed in (1, 1, 2))
    assert np.array_equal(one.image, same.image)
    assert np.array_equal(one.masks, same.masks)
    assert not np.array_equal(one.image, other.image)


def test_what_is_seen_of_objects_does_not_overlap() -> None:
    scene = render_scene(np.random.default_rng(5), 200, 200, objects=5)
    assert scene.masks.shape == (5, 200, 200)
    assert scene.masks.sum(axis=0).max() == 1


@pytest.mark.parametrize("kind", [kind for kind in OBJECTS if kind != "blob"])
def test_objects_have_thin_parts(kind: str) -> None:
    for seed in range(3):
        scene = render_scene(np.random.default_rng(seed), 384, 384, objects=1, kinds=[kind])
        mask = scene.masks[0].astype(np.uint8)
        # What is narrower than five pixels goes when the mask is opened by as many.
        opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        assert int(opened.sum()) < 0.97 * int(mask.sum())


def test_the_sample_data_is_what_the_script_draws() -> None:
    name = next(iter(SCENES))
    scene = sample_scene(name)
    stored = np.asarray(cv2.imread(str(SAMPLE_DATA / "images" / f"{name}.jpg")))[..., ::-1]
    assert np.abs(stored.astype(int) - scene.image).mean() < 4  # JPEG
    gt = json.loads((SAMPLE_DATA / "annotations.json").read_text())
    boxes = json.loads((SAMPLE_DATA / "boxes.json").read_text())
    own = [a for a in gt["annotations"] if a["image_id"] == 1]
    assert len(own) == len(scene.masks)
    for annotation, mask in zip(own, scene.masks, strict=True):
        png = cv2.imread(str(SAMPLE_DATA / "masks" / f"{name}.jpg" / f"{annotation['id']}.png"), cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(coco_mask.decode(annotation["segmentation"]).astype(bool), mask)
        assert np.array_equal(np.asarray(png) > 0, mask)
        assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()
    assert [a["bbox"] for a in boxes["annotations"]] == [a["bbox"] for a in gt["annotations"]]


def test_sample_data_is_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLE_DATA.rglob("*") if path.is_file()) < 3_000_000
