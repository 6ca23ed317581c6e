"""Objects with gaps are segmented in tiles, if the colors of the image favor that mask."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from hqsam_cli.inference.tiles import better_explained, information
from hqsam_cli.inference.windows import WindowPredictor, plan_tiles
from hqsam_cli.modeling.prompt_encoder import PromptBatch
from hqsam_cli.modeling.sam import HQSam, ImageFeatures
from hqsam_cli.records import Instance, MaskCrop, Prompt
from hqsam_cli.weights.registry import build_model

SIDE = 128  # input size of the model
BOX = (60.0, 40.0, 540.0, 400.0)
RED = np.array([200, 40, 30], np.uint8)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> HQSam:
    """A model whose SAM fills the box of an object, and whose HQ token finds red pixels."""
    model = build_model("vit_tiny", image_size=SIDE, device="cpu").eval()

    def encode(images: torch.Tensor, *, hq: bool = True) -> ImageFeatures:
        red = torch.nn.functional.avg_pool2d((images[:, :1] - images[:, 1:2]) - 1.5, 4)
        return ImageFeatures(red, red)

    def predict(features: ImageFeatures, batch: PromptBatch, outputs: Any, **_: Any) -> Any:
        center = torch.arange(SIDE // 4) * 4 + 2.0
        (x0, y0), (x1, y1) = (batch.points[:, n].T[..., None, None] for n in (0, 1))
        filled = (x0 <= center) & (center <= x1) & (y0 <= center[:, None]) & (center[:, None] <= y1)
        sam, hq = 20.0 * filled[:, None] - 10, features.embedding[batch.image_index]
        logits = {"sam": sam, "hq": hq, "sum": sam + hq, "auto": sam + hq}
        return {name: (logits[name], torch.ones(len(sam), 1)) for name in outputs}

    monkeypatch.setattr(model, "encode", encode)
    monkeypatch.setattr(model, "predict", predict)
    return model


@pytest.fixture
def lattice() -> tuple[np.ndarray, np.ndarray]:
    """A photo of red bars on gray, and their mask."""
    mask = np.zeros((450, 600), np.uint8)
    for k in range(4):
        x, y = 80 + 146 * k, 60 + 106 * k
        cv2.line(mask, (x, 40), (x, 399), 1, 40)
        cv2.line(mask, (60, y), (539, y), 1, 40)
    photo = np.full((450, 600, 3), 128, np.uint8)
    photo[mask > 0] = RED
    return photo, mask > 0


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("output", ["auto", "sum"])
def test_gaps_that_sam_fills_are_open(model: HQSam, lattice: tuple[np.ndarray, np.ndarray], output: Any) -> None:
    photo, gt = lattice
    found = WindowPredictor(model, windows="on", mask_output=output).predict(photo, boxes=np.array([BOX]))
    filled = np.zeros_like(gt)
    filled[40:400, 60:540] = True
    assert iou(found.mask[0], gt if output == "auto" else filled) > 0.85


def test_nothing_changes_where_the_colors_say_nothing(model: HQSam, lattice: tuple[np.ndarray, np.ndarray]) -> None:
    photo, _ = lattice
    prompts = [[Prompt(1, box=BOX)]]
    gray = np.full_like(photo, 128)
    gray[100:102, 100:102] = RED  # so that the masks of SAM and of the HQ token differ
    (found,) = WindowPredictor(model, windows="on", mask_output="auto").predict_batch([gray], prompts)[0]
    assert iou(found.mask.full()[40:400, 60:540], np.ones((360, 480), bool)) > 0.95


def test_tiles_cover_the_box_and_stay_in_the_image() -> None:
    for box, count in ((BOX, 4), ((0.0, 0.0, 600.0, 450.0), 4), ((10.0, 10.0, 590.0, 60.0), 2)):
        tiles = plan_tiles(box, (450, 600, 3))
        assert len(tiles) == count
        covered = np.zeros((450, 600), bool)
        for x0, y0, x1, y1 in tiles:
            assert 0 <= x0 < x1 <= 600 and 0 <= y0 < y1 <= 450
            covered[y0:y1, x0:x1] = True
        assert covered[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])].all()
        assert (tiles[0][:2], tiles[-1][2:]) == (
            tuple(min(own[k] for own in tiles) for k in (0, 1)),
            tuple(max(own[k] for own in tiles) for k in (2, 3)),
        )


def test_information_of_colors_and_a_mask() -> None:
    colors = np.array([[0, 0, 511, 511]])
    assert information(colors, colors > 0) == (1.0, 1.0)
    assert information(colors, np.array([[True, False, True, False]])) == pytest.approx((0, 0), abs=1e-9)
    assert information(colors, np.ones((1, 4), bool)) == (0, 0)


def test_a_mask_is_replaced_only_if_it_tells_more(lattice: tuple[np.ndarray, np.ndarray]) -> None:
    photo, gt = lattice
    good, bad = (Instance(Prompt(n), MaskCrop.whole(mask), 0.5 + n / 10, 0) for n, mask in enumerate((gt, ~gt)))
    worse = Instance(Prompt(2), MaskCrop.whole(np.roll(gt, 30, axis=1)), 0.9, 0)
    part = np.s_[20:420, 30:580]
    for own, other, expected in ((good, worse, gt), (worse, good, gt), (good, bad, gt)):
        chosen = better_explained(own, other, photo[part], part)
        assert np.array_equal(chosen.mask.full(), expected)
        assert chosen.prompt is own.prompt and chosen.predicted_iou == own.predicted_iou
