"""A coarse mask alone is refined with a box around its large parts and soft logits."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hqsam_cli.inference.coarse_masks import distance_logits, prompt_box
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.inference.preprocess import ResizeLongestSide
from hqsam_cli.records import Box, Prompt
from hqsam_cli.weights.checkpoints import load_model


def _mask(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((100, 200), bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


@pytest.mark.parametrize(
    ("prompt", "box"),
    [
        (Prompt(mask=_mask((40, 20, 80, 60))), (38, 18, 82, 62)),
        (Prompt(mask=_mask((40, 20, 80, 60), (190, 90, 192, 92))), (38, 18, 82, 62)),  # without specks
        (Prompt(mask=_mask((40, 20, 80, 60), (120, 20, 140, 40))), (35, 18, 145, 62)),
        (Prompt(mask=_mask((0, 0, 200, 50))), (0, 0, 200, 52.5)),  # within the image
        (Prompt(mask=_mask((40, 20, 80, 60)), box=(1, 2, 3, 4)), (1, 2, 3, 4)),
        (Prompt(mask=_mask((40, 20, 80, 60)), points=np.ones((1, 3))), None),
        (Prompt(mask=_mask()), None),
    ],
)
def test_the_box_is_that_of_the_large_parts(prompt: Prompt, box: Box | None) -> None:
    assert prompt_box(prompt) == pytest.approx(box)


def test_logits_grow_from_the_outline() -> None:
    logits = distance_logits(Prompt(mask=_mask((40, 20, 80, 60))), ResizeLongestSide.of(100, 200, 800))[0]
    assert logits.shape == (200, 200)
    expected = np.zeros((200, 200), bool)
    expected[20:60, 40:80] = True
    assert np.array_equal(logits > 0, expected)
    assert logits.max() == -logits.min() == 15
    assert np.all(np.diff(logits[40, 20:60]) >= 0)
    assert 0 < logits[40, 40] < logits[40, 41] < 15


def test_a_damaged_mask_is_refined() -> None:
    y, x = np.mgrid[:300, :400]
    angle, distance = np.arctan2(y - 150, x - 200), np.hypot(y - 150, x - 200)
    gt = distance < 80 + 30 * np.cos(5 * angle)
    photo = np.random.default_rng(0).normal(150, 8, (300, 400, 3)).clip(0, 255).astype(np.uint8)
    photo[gt] = photo[gt] // 3
    coarse = cv2.dilate(gt.astype(np.uint8), np.ones((21, 21))).astype(bool)
    coarse[60:130, 170:230] = False
    coarse[5:8, 5:8] = True
    (mask,) = Predictor(load_model("lite")).predict(photo, masks=coarse[None]).mask
    before, after = ((own & gt).sum() / (own | gt).sum() for own in (coarse, mask))
    assert before < 0.7 < 0.95 < after
