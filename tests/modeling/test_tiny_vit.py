"""TinyViT's convolutions, before and after `fuse`."""

from __future__ import annotations

import copy

import pytest
import torch

from hqsam_cli.modeling.tiny_vit import STRIP, ConvBlock, ConvNorm


@pytest.mark.parametrize("height", [STRIP // 2, STRIP, 2 * STRIP, 2 * STRIP + 1, 3 * STRIP - 1])
def test_a_block_in_strips_equals_the_whole_block(height: int) -> None:
    torch.manual_seed(0)
    whole = ConvBlock(8).eval().requires_grad_(False)
    in_strips = copy.deepcopy(whole)
    for part in in_strips.modules():
        if isinstance(part, ConvNorm):
            part.fuse()
    x = torch.randn(2, 8, height, 12)
    torch.testing.assert_close(in_strips(x), whole(x), rtol=1e-4, atol=1e-5)
