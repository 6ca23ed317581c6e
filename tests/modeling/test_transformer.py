"""Attention between few tokens and many pixels against its plain form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hqsam_cli.modeling.transformer import Attention, ImageToTokens, TokensToImage

PROMPTS, TOKENS, PIXELS, WIDTH, HEADS = 3, 5, 64, 32, 4


def randomized(attention: Attention) -> Attention:
    for parameter in attention.parameters():  # biases of 0 would hide mistakes
        torch.nn.init.normal_(parameter, std=0.5)
    return attention.double()


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.double)


@torch.no_grad()
def test_tokens_to_image_equals_the_plain_form() -> None:
    attention = randomized(TokensToImage(WIDTH, HEADS, 2))
    q, k, v = drawn(PROMPTS, TOKENS, WIDTH), drawn(PROMPTS, PIXELS, WIDTH), drawn(PROMPTS, PIXELS, WIDTH)
    assert not torch.equal(attention(q, k, v), attention.plain(q, k, v))  # it is not the plain form
    torch.testing.assert_close(attention(q, k, v), attention.plain(q, k, v))


@torch.no_grad()
def test_image_to_tokens_equals_the_plain_form() -> None:
    attention = randomized(ImageToTokens(WIDTH, HEADS, 2))
    q, k, v = drawn(2, PIXELS, WIDTH), drawn(PROMPTS, TOKENS, WIDTH), drawn(PROMPTS, TOKENS, WIDTH)
    index, valid = torch.tensor([0, 1, 1]), torch.ones(PROMPTS, TOKENS, dtype=torch.bool)
    valid[1, 2:] = valid[2, 0] = False
    made = attention(q, k, v, q_index=index, valid=valid)
    torch.testing.assert_close(made, attention.plain(q, k, v, q_index=index, valid=valid))
    torch.testing.assert_close(attention(q[index], k, v), attention.plain(q[index], k, v))
