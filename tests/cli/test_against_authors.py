"""Masks through the command line against the authors' predictor, with the same random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from tests.cli.conftest import Run
from tests.modeling.conftest import randomized

WIDTH, HEIGHT = 400, 300
BOXES: list[list[float]] = [[30, 40, 200, 180], [0, 0, 400, 300], [250.5, 100.25, 120, 60]]
POINTS: list[list[list[float]]] = [
    [[120, 90, 1], [300, 200, 0]],
    [[200, 150, 1]],
    [[310, 130, 1], [20, 20, 0], [390, 290, 0]],
]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The authors' predictor with a random `vit_tiny`, looking at a photo; its files are in `.folder`."""
    from segment_anything_hq import SamPredictor, sam_model_registry

    torch.manual_seed(7)  # of the first seeds, the one whose masks are about half of the photo
    model = randomized(sam_model_registry["vit_tiny"](checkpoint=None))
    folder = tmp_path_factory.mktemp("authors")
    torch.save(model.state_dict(), folder / "official.pth")
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    photo = np.array(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    (folder / "imgs").mkdir()
    Image.fromarray(photo).save(folder / "imgs" / "photo.png")
    image = {"id": 1, "file_name": "photo.png", "width": WIDTH, "height": HEIGHT}
    annotations = [
        {"id": i, "image_id": 1, "bbox": box, "points": points}
        for i, (box, points) in enumerate(zip(BOXES, POINTS, strict=True), 1)
    ]
    (folder / "prompts.json").write_text(json.dumps({"images": [image], "annotations": annotations}))
    predictor = SamPredictor(model)
    predictor.set_image(photo)
    predictor.folder = folder
    return predictor


def made(hqsam: Run, predictor: Any, *options: str | Path) -> list[dict[str, Any]]:
    folder = predictor.folder
    exact = ("--model", folder / "official.pth", "--dtype", "float32")
    result = hqsam("segment", folder / "imgs", "--raw", *exact, "-o", "-", *options)
    assert result.code == 0, result.err
    return [{**a, "mask": coco_mask.decode(a["segmentation"]).astype(bool)} for a in result.lines[0]["annotations"]]


def corners(box: list[float]) -> np.ndarray:
    return np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]])


def mean_iou(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    assert len(ours) == len(theirs)
    assert all(0.001 < mask.mean() < 0.999 for mask in theirs), "a mask that is nothing or everything shows nothing"
    return float(np.mean([(a & b).sum() / (a | b).sum() for a, b in zip(ours, theirs, strict=True)]))


@pytest.mark.parametrize("output", ["sum", "hq"])
def test_boxes(hqsam: Run, predictor: Any, output: str) -> None:
    ours = made(hqsam, predictor, "--boxes", predictor.folder / "prompts.json", "--mask-output", output)
    theirs = [
        predictor.predict(box=corners(box), multimask_output=False, hq_token_only=output == "hq") for box in BOXES
    ]
    assert mean_iou([a["mask"] for a in ours], [masks[0] for masks, _, _ in theirs]) >= 0.995
    assert [a["predicted_iou"] for a in ours] == pytest.approx([float(iou[0]) for _, iou, _ in theirs], abs=1e-4)


def test_points_alone_and_with_boxes(hqsam: Run, predictor: Any) -> None:
    file = predictor.folder / "prompts.json"
    for boxes, options in ((None, ("--points", file)), (BOXES, ("--points", file, "--boxes", file))):
        ours = made(hqsam, predictor, *options)
        theirs = []
        for index, points in enumerate(np.array(p, np.float64) for p in POINTS):
            box = None if boxes is None else corners(boxes[index])
            masks, _, _ = predictor.predict(points[:, :2], points[:, 2], box=box, multimask_output=False)
            theirs.append(masks[0])
        assert mean_iou([a["mask"] for a in ours], theirs) >= 0.995


def test_coarse_masks(hqsam: Run, predictor: Any) -> None:
    folder = predictor.folder
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    theirs = []
    for number, box in enumerate(BOXES, 1):
        coarse = ((x - 60 * number) ** 2 / 2 + (y - 150) ** 2) < 70**2
        (folder / "coarse" / "photo.png").mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse.astype(np.uint8) * 255).save(folder / "coarse" / "photo.png" / f"{number}.png")
        # 400 x 300 is 256 x 192 in a frame of 256; a binary mask enters as 0 / 255.
        small = Image.fromarray(coarse.astype(np.uint8) * 255).resize((256, 192), Image.Resampling.BILINEAR)
        entered = np.zeros((1, 256, 256), np.float32)
        entered[0, :192] = np.where(np.asarray(small) > 127, 255.0, 0.0)
        theirs.append(predictor.predict(box=corners(box), mask_input=entered, multimask_output=False)[0][0])
    ours = made(hqsam, predictor, "--boxes", folder / "prompts.json", "--coarse-masks", folder / "coarse")
    assert mean_iou([a["mask"] for a in ours], theirs) >= 0.995


def test_the_best_of_three_masks_is_the_authors_multimask(hqsam: Run, predictor: Any) -> None:
    ours = made(hqsam, predictor, "--boxes", predictor.folder / "prompts.json", "--multimask")
    best = [max((a for a in ours if a["prompt_id"] == n), key=lambda a: a["predicted_iou"]) for n in (1, 2, 3)]
    theirs = [predictor.predict(box=corners(box), multimask_output=True) for box in BOXES]
    assert mean_iou([a["mask"] for a in best], [masks[0] for masks, _, _ in theirs]) >= 0.995
