"""Attention without a bias matrix against attention with one."""

from __future__ import annotations

import torch

from hqsam_cli.modeling.vit import relative_attention, relative_table, window_partition, window_unpartition


def test_relative_attention_equals_the_plain_form() -> None:
    torch.manual_seed(0)
    height, width, depth = 9, 7, 20
    q, k, v = (torch.randn(2, 3, height * width, depth) for _ in range(3))
    rows = relative_table(torch.randn(2 * height - 1, depth), height)
    columns = relative_table(torch.randn(2 * width - 1, depth), width)
    scores = (q * depth**-0.5) @ k.transpose(-2, -1)
    for i in range(height * width):
        for j in range(height * width):
            offset = rows[i // width, j // width] + columns[i % width, j % width]
            scores[:, :, i, j] += q[:, :, i] @ offset
    plain = scores.softmax(-1) @ v
    torch.testing.assert_close(relative_attention(q, k, v, rows, columns), plain, rtol=1e-4, atol=1e-5)


def test_relative_table_is_indexed_by_query_minus_key() -> None:
    table = relative_table(torch.arange(9.0)[:, None], 5)[..., 0]
    assert table[0].tolist() == [4, 3, 2, 1, 0]
    assert table[4, 0] == 8


def test_window_unpartition_is_the_inverse() -> None:
    x = torch.randn(2, 64, 33, 5)
    windows, padded = window_partition(x, 14)
    assert windows.shape == (2 * 5 * 3, 14, 14, 5)
    assert torch.equal(window_unpartition(windows, 14, padded, (64, 33)), x)
