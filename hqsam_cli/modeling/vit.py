"""SAM's ViT image encoder: window attention, four global blocks, decomposed relative positions.

State keys match the official checkpoints. Attention needs no bias matrix: the score scale · q·k + q·R_row + q·R_column
is one dot product of the query, concatenated with its relative terms, and the key, concatenated with one-hot vectors of
its row and column. So scaled dot-product attention can use flash kernels, which take no (heads, N, N) bias.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers import LayerNorm2d, MLPBlock

PATCH = 16
WINDOW = 14
HEAD_DIM_MULTIPLE = 8  # attention kernels are slower for other head dimensions


class ViTImageEncoder(nn.Module):
    """ViT with a convolutional neck.

    Args:
        dim, depth, heads: patch embedding dimension, number of blocks, attention heads.
        global_blocks: indices of blocks with global attention; the others have window attention.
        image_size: input size S in pixels.
        embed_dim: channels of the image embedding.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        global_blocks: tuple[int, ...],
        image_size: int = 1024,
        embed_dim: int = 256,
    ) -> None:
        super().__init__()
        side = image_size // PATCH
        self.first_global = global_blocks[0]
        self.patch_embed = PatchEmbed(dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, side, side, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, side, 0 if i in global_blocks else WINDOW) for i in range(depth))
        self.neck = make_neck(dim, embed_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the image embedding and early features.

        Args:
            x: (B, 3, S, S) normalized images.

        Returns:
            The embedding (B, embed_dim, S / 16, S / 16), and the output of the first global block (B, dim, S / 16, S /
            16), the early feature that HQ-SAM fuses.
        """
        x = self.patch_embed(x) + self.pos_embed
        interm_embeddings = x
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index == self.first_global:
                interm_embeddings = x
        return self.neck(x.permute(0, 3, 1, 2)), interm_embeddings.permute(0, 3, 1, 2)


class PatchEmbed(nn.Module):
    """Patch embedding, channels last."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, stride=PATCH)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, S / 16, S / 16, dim)."""
        out: Tensor = self.proj(x).permute(0, 2, 3, 1)
        return out


class Block(nn.Module):
    """Pre-norm transformer block with window (`window` > 0) or global attention."""

    def __init__(self, dim: int, heads: int, side: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads, window or side)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLPBlock(dim, 4 * dim, functional.gelu)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) to the same shape."""
        y = self.norm1(x)
        if self.window:
            windows, padded = window_partition(y, self.window)
            y = window_unpartition(self.attn(windows), self.window, padded, (x.shape[1], x.shape[2]))
        else:
            y = self.attn(y)
        x = x + y
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Attention(nn.Module):
    """Multi-head attention over `side` x `side` patches with decomposed relative positions."""

    def __init__(self, dim: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, dim // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, dim // heads))

    def forward(self, x: Tensor) -> Tensor:
        """(B, side, side, dim) to the same shape."""
        batch, height, width, _ = x.shape
        qkv = self.qkv(x).view(batch, height * width, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        out = relative_attention(q, k, v, relative_table(self.rel_pos_h, height), relative_table(self.rel_pos_w, width))
        y: Tensor = self.proj(out.transpose(1, 2).reshape(batch, height, width, -1))
        return y


def relative_table(positions: Tensor, side: int) -> Tensor:
    """Relative position embeddings (2 side - 1, d) by query and key position: (side, side, d)."""
    index = torch.arange(side, device=positions.device)
    return positions[index[:, None] - index[None, :] + side - 1]


def relative_attention(q: Tensor, k: Tensor, v: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Attention with decomposed relative positions, without a bias matrix.

    Args:
        q, k, v: (B, heads, H * W, d).
        rows: (H, H, d), `columns`: (W, W, d), from `relative_table`.

    Returns:
        (B, heads, H * W, d).
    """
    height, width, depth = rows.shape[0], columns.shape[0], q.shape[-1]
    scale = depth**-0.5
    grid = q.unflatten(2, (height, width))
    by_row = torch.einsum("bnhwc,hkc->bnhwk", grid, rows.to(q.dtype)).flatten(2, 3)
    by_column = torch.einsum("bnhwc,wkc->bnhwk", grid, columns.to(q.dtype)).flatten(2, 3)
    index = torch.arange(height * width, device=q.device)
    one_hot = torch.cat(
        [functional.one_hot(index // width, height), functional.one_hot(index % width, width)], dim=1
    ).to(k.dtype)
    extra = height + width
    padding = -(depth + extra) % HEAD_DIM_MULTIPLE
    queries = functional.pad(torch.cat([q, by_row / scale, by_column / scale], dim=-1), (0, padding))
    keys = functional.pad(torch.cat([k, one_hot.expand(*k.shape[:2], -1, -1)], dim=-1), (0, padding))
    # Fused kernels need values with the same dimension as the keys.
    values = functional.pad(v, (0, extra + padding))
    return functional.scaled_dot_product_attention(queries, keys, values, scale=scale)[..., :depth]


def window_partition(x: Tensor, window: int) -> tuple[Tensor, tuple[int, int]]:
    """Partition (B, H, W, C) into windows (B * windows, window, window, C), zero-padded at the right and bottom.

    Returns:
        The windows and the padded height and width.
    """
    batch, height, width, channels = x.shape
    x = functional.pad(x, (0, 0, 0, -width % window, 0, -height % window))
    padded = (x.shape[1], x.shape[2])
    x = x.view(batch, padded[0] // window, window, padded[1] // window, window, channels)
    return x.transpose(2, 3).reshape(-1, window, window, channels), padded


def window_unpartition(windows: Tensor, window: int, padded: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Inverse of `window_partition`: (B, H, W, C) without the padding."""
    rows, columns = padded[0] // window, padded[1] // window
    x = windows.view(-1, rows, columns, window, window, windows.shape[-1]).transpose(2, 3)
    return x.reshape(-1, *padded, windows.shape[-1])[:, : size[0], : size[1]]


def make_neck(dim: int, embed_dim: int) -> nn.Sequential:
    """SAM's neck: (B, dim, H, W) to (B, embed_dim, H, W)."""
    return nn.Sequential(
        nn.Conv2d(dim, embed_dim, 1, bias=False),
        LayerNorm2d(embed_dim),
        nn.Conv2d(embed_dim, embed_dim, 3, padding=1, bias=False),
        LayerNorm2d(embed_dim),
    )
