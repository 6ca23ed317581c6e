"""The sizes of a ViT encoder; light, so that a table of them costs nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ViTConfig:
    """Sizes of one ViT; `global_blocks` attend over the whole image, the others over windows."""

    dim: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
