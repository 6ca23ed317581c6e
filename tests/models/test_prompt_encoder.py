"""Boxes that also come as filled masks; the rest of the prompt encoder is compared with the authors' elsewhere."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hqsam_cli.models.prompt_encoder import (
    ABSENT,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND_POINT,
    PADDING_POINT,
    PromptBatch,
    PromptEncoder,
)

SIZE = 64


@pytest.fixture
def encoder() -> PromptEncoder:
    torch.manual_seed(0)
    return PromptEncoder(32, SIZE, boxes_as_masks=True).eval()


def batch(
    points: list[list[tuple[float, float]]],
    labels: list[list[int]],
    masks: Tensor | None = None,
    has_mask: Tensor | None = None,
) -> PromptBatch:
    index = torch.zeros(len(points), dtype=torch.long)
    return PromptBatch(index, torch.tensor(points), torch.tensor(labels), masks, has_mask)


def box_batch(*boxes: tuple[float, float, float, float]) -> PromptBatch:
    corners = [[(x0, y0), (x1, y1)] for x0, y0, x1, y1 in boxes]
    return batch(corners, [[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]] * len(boxes))


def test_a_filled_box_is_the_box_drawn_and_averaged(encoder: PromptEncoder) -> None:
    found, has_box = encoder.filled_boxes(box_batch((3.5, 8, 21, 40.25), (-5, 60, 70, 90)))
    assert has_box.tolist() == [True, True]
    drawn = torch.zeros(2, 1, SIZE * 4, SIZE * 4)  # quarters of a pixel
    drawn[0, 0, 32:161, 14:84] = 255
    drawn[1, 0, 240:, :] = 255
    torch.testing.assert_close(found, torch.nn.functional.avg_pool2d(drawn, 16))


@torch.no_grad()
def test_a_box_adds_what_the_same_mask_would(encoder: PromptEncoder) -> None:
    mask = torch.zeros(1, 1, SIZE // 4, SIZE // 4)
    mask[..., 2:6, 3:12] = 255
    boxed = encoder.dense_embeddings(box_batch((12, 8, 48, 24)))
    assert boxed is not None
    torch.testing.assert_close(boxed, encoder.mask_downscaling(mask))


@torch.no_grad()
def test_points_add_nothing_and_a_mask_goes_before_the_box(encoder: PromptEncoder) -> None:
    masks = torch.rand(3, 1, SIZE // 4, SIZE // 4) * 255
    mixed = batch(
        [[(9, 9), (0, 0), (0, 0)], [(4, 4), (20, 20), (0, 0)], [(4, 4), (20, 20), (8, 8)]],
        [
            [FOREGROUND_POINT, PADDING_POINT, ABSENT],
            [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT, ABSENT],
            [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT, FOREGROUND_POINT],
        ],
        masks=masks,
        has_mask=torch.tensor([False, False, True]),
    )
    point, box, masked = encoder.dense_embeddings(mixed)  # type: ignore[misc]
    torch.testing.assert_close(point, encoder.no_mask_map()[0].expand_as(point))
    torch.testing.assert_close(box, encoder.dense_embeddings(box_batch((4, 4, 20, 20)))[0])  # type: ignore[index]
    torch.testing.assert_close(masked, encoder.mask_downscaling(masks[2:])[0])


def test_sams_own_encoder_leaves_boxes_to_their_tokens() -> None:
    assert PromptEncoder(32, SIZE).dense_embeddings(box_batch((4, 4, 20, 20))) is None
