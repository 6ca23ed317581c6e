"""SAM 2's image encoder: Hiera, a ViT of four stages (arXiv 2306.00989), with a feature pyramid.

The state keys of `Hiera` match the official checkpoints, except those of the MLPs, whose block is shared with SAM.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..layers import MLPBlock
from ..vit import window_partition, window_unpartition

STRIDE = 4  # of the patch embedding


class HieraConfig(NamedTuple):
    """Arguments of `Hiera`.

    Attributes:
        dim, heads: channels and attention heads of the first stage; doubled by each of the others.
        stages: number of blocks of each stage.
        global_blocks: indices of blocks with global attention; the others have window attention.
        windows: window size of each stage, in its own cells.
        pos_side: side of the background positional embedding, in cells.
    """

    dim: int
    heads: int
    stages: tuple[int, ...]
    global_blocks: tuple[int, ...]
    windows: tuple[int, ...] = (8, 4, 14, 7)
    pos_side: int = 7


class HieraImageEncoder(nn.Module):
    """Hiera with a feature pyramid, whose two finest levels are projected as the mask decoder adds them.

    Args:
        config: of `Hiera`.
        embed_dim: channels C of the image embedding.
    """

    def __init__(self, config: HieraConfig, embed_dim: int = 256) -> None:
        super().__init__()
        self.trunk = Hiera(config)
        at_4, at_8, at_16, at_32 = (config.dim * 2**stage for stage in range(4))
        self.neck = nn.ModuleList(nn.Conv2d(channels, embed_dim, 1) for channels in (at_32, at_16))
        self.high_res = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, embed_dim, 1), nn.Conv2d(embed_dim, width, 1))
            for channels, width in ((at_8, embed_dim // 4), (at_4, embed_dim // 8))
        )
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, embed_dim))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the image embedding and the high-resolution features.

        Args:
            x: (B, 3, S, S) normalized images.

        Returns:
            The embedding (B, C, S / 16, S / 16), to which the embedding of "no memory" is added, as for the first frame
            of a video, and the features (B, C / 4, S / 8, S / 8) and (B, C / 8, S / 4, S / 4).
        """
        at_4, at_8, at_16, at_32 = self.trunk(x)
        top_down = functional.interpolate(self.neck[0](at_32), scale_factor=2.0, mode="nearest")
        embedding = self.neck[1](at_16) + top_down + self.no_mem_embed.view(1, -1, 1, 1)
        return embedding, self.high_res[0](at_8), self.high_res[1](at_4)

    def fuse(self) -> None:
        """Merge the two 1 x 1 convolutions of each high-resolution feature into one."""
        for level, convolutions in enumerate(self.high_res):
            assert isinstance(convolutions, nn.Sequential)
            self.high_res[level] = _merged(*convolutions)


def _merged(first: nn.Module, second: nn.Module) -> nn.Conv2d:
    """The product of two 1 x 1 convolutions."""
    assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
    assert first.bias is not None and second.bias is not None
    merged = nn.Conv2d(first.in_channels, second.out_channels, 1)
    weight = second.weight.flatten(1)
    merged.weight.data = (weight @ first.weight.flatten(1))[..., None, None].detach()
    merged.bias = nn.Parameter((weight @ first.bias + second.bias).detach(), requires_grad=False)
    return merged.requires_grad_(False)


class Hiera(nn.Module):
    """Four stages of transformer blocks; each of the last three begins by pooling its queries 2 x 2.

    The positional embedding is the sum of a coarse one, resized to the image, and one that is repeated in each window.
    """

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(config.dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.dim, config.pos_side, config.pos_side))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, config.dim, config.windows[0], config.windows[0]))
        blocks: list[Block] = []
        for stage, depth in enumerate(config.stages):
            dim, heads = config.dim * 2**stage, config.heads * 2**stage
            for place in range(depth):
                is_first = stage > 0 and place == 0
                # The first block of a stage still sees the windows of the stage before, whose queries it pools.
                window = 0 if len(blocks) in config.global_blocks else config.windows[stage - is_first]
                blocks.append(Block(dim // 2 if is_first else dim, dim, heads, window))
        self.blocks = nn.ModuleList(blocks)
        self.stage_ends = [sum(config.stages[: stage + 1]) - 1 for stage in range(len(config.stages))]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, S, S) normalized images to the outputs of the stages, (B, dim, S / 4, S / 4) and coarser."""
        x = self.patch_embed(x)
        side, window = x.shape[1], self.pos_embed_window.shape[-1]
        coarse = functional.interpolate(self.pos_embed, size=(side, side), mode="bicubic")
        position = coarse + self.pos_embed_window.tile(1, 1, side // window, side // window)
        x = x + position.permute(0, 2, 3, 1)
        outputs = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.stage_ends:
                outputs.append(x.permute(0, 3, 1, 2))
        return outputs


class PatchEmbed(nn.Module):
    """Overlapping patch embedding, channels last."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 7, stride=STRIDE, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, S / 4, S / 4, dim)."""
        out: Tensor = self.proj(x).permute(0, 2, 3, 1)
        return out


class Block(nn.Module):
    """Pre-norm transformer block with window (`window` > 0) or global attention.

    If `dim_out` is not `dim`, the block begins a stage: queries and the residual connection are pooled 2 x 2.
    """

    def __init__(self, dim: int, dim_out: int, heads: int, window: int) -> None:
        super().__init__()
        self.window, self.pools = window, dim != dim_out
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, dim_out, heads, pools=self.pools)
        self.norm2 = nn.LayerNorm(dim_out, eps=1e-6)
        self.mlp = MLPBlock(dim_out, 4 * dim_out, functional.gelu)
        if self.pools:
            self.proj = nn.Linear(dim, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) to (B, H, W, dim_out), or half of H and W at the beginning of a stage."""
        y = self.norm1(x)
        if self.pools:
            x = pool(self.proj(y))
        if self.window:
            windows, (rows, columns) = window_partition(y, self.window)
            factor = 2 if self.pools else 1
            padded = rows // factor, columns // factor
            y = window_unpartition(self.attn(windows), self.window // factor, padded, (x.shape[1], x.shape[2]))
        else:
            y = self.attn(y)
        x = x + y
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Attention(nn.Module):
    """Multi-head attention over H x W cells, whose queries may be pooled 2 x 2."""

    def __init__(self, dim: int, dim_out: int, heads: int, *, pools: bool) -> None:
        super().__init__()
        self.heads, self.pools = heads, pools
        self.qkv = nn.Linear(dim, 3 * dim_out)
        self.proj = nn.Linear(dim_out, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) to (B, H, W, dim_out), or (B, H / 2, W / 2, dim_out)."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q = pool(q) if self.pools else q
        by_head = (own.flatten(1, 2).unflatten(-1, (self.heads, -1)).transpose(1, 2) for own in (q, k, v))
        out = functional.scaled_dot_product_attention(*by_head).transpose(1, 2)
        y: Tensor = self.proj(out.reshape(*q.shape))
        return y


def pool(x: Tensor) -> Tensor:
    """Maxima of 2 x 2 cells: (B, H, W, C) to (B, H / 2, W / 2, C)."""
    return functional.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
