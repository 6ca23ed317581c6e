"""SAM's prompt encoder for a flat, padded batch of prompts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .layers import LayerNorm2d
from .prompt_labels import (
    ABSENT,
    BACKGROUND_POINT,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND_POINT,
    PADDING_POINT,
)

__all__ = [
    "ABSENT",
    "BACKGROUND_POINT",
    "BOX_BOTTOM_RIGHT",
    "BOX_TOP_LEFT",
    "FOREGROUND_POINT",
    "PADDING_POINT",
    "PromptBatch",
    "PromptEncoder",
    "RandomFourierPositions",
]


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """P prompts of B images, flattened.

    Attributes:
        image_index: long (P,), image index of each prompt, 0 to B - 1.
        points: float (P, T, 2), x and y in pixels of the model's input (S, S).
        labels: long (P, T), one of `prompt_labels`; rows are padded with `ABSENT`.
        masks: float (P, 1, S / 4, S / 4) mask prompts, 0 or 255, or logits; None if no prompt has one.
        has_mask: bool (P,), which rows of `masks` are mask prompts; None for all.
        ragged: whether any label is `ABSENT`, stored to avoid a device synchronization.
    """

    image_index: Tensor
    points: Tensor
    labels: Tensor
    masks: Tensor | None = None
    has_mask: Tensor | None = None
    ragged: bool = False


class RandomFourierPositions(nn.Module):
    """Positional encoding with random Fourier features; SAM stores the projection."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", nn.init.normal_(torch.empty(2, channels // 2)))

    def forward(self, positions: Tensor) -> Tensor:
        """(..., 2) normalized x and y to (..., channels); in float32 even under autocast."""
        with torch.autocast(positions.device.type, enabled=False):
            angles = (2 * positions.float() - 1) @ self.positional_encoding_gaussian_matrix.float() * (2 * math.pi)
            return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def grid(self, height: int, width: int) -> Tensor:
        """Encode the cell centers of a grid: (1, channels, height, width)."""
        device = self.positional_encoding_gaussian_matrix.device
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        positions = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1)
        out: Tensor = self(positions).permute(2, 0, 1)[None]
        return out


class PromptEncoder(nn.Module):
    """Encodes points, boxes and masks as tokens and dense embeddings (SAM, section 3 and appendix A).

    Args:
        embed_dim: channels of the image embedding.
        image_size: input size S in pixels.
        mask_channels: widest hidden layer of the mask downscaling.
    """

    def __init__(self, embed_dim: int, image_size: int, mask_channels: int = 16) -> None:
        super().__init__()
        self.image_size = image_size
        self.pe_layer = RandomFourierPositions(embed_dim)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_channels // 4, 2, stride=2),
            LayerNorm2d(mask_channels // 4),
            nn.GELU(),
            nn.Conv2d(mask_channels // 4, mask_channels, 2, stride=2),
            LayerNorm2d(mask_channels),
            nn.GELU(),
            nn.Conv2d(mask_channels, embed_dim, 1),
        )
        self.no_mask_embed = nn.Embedding(1, embed_dim)

    def sparse_tokens(self, prompts: PromptBatch) -> tuple[Tensor, Tensor | None]:
        """Tokens (P, T, embed_dim), and bool (P, T), False for padding; None without padding."""
        kinds = torch.cat([e.weight for e in (self.not_a_point_embed, *self.point_embeddings)])
        labels = prompts.labels
        positions = self.pe_layer((prompts.points + 0.5) / self.image_size)
        tokens = positions * (labels >= 0).unsqueeze(-1) + kinds[(labels + 1).clamp(min=0)]
        return tokens, (labels != ABSENT) if prompts.ragged else None

    def dense_embeddings(self, prompts: PromptBatch) -> Tensor:
        """Dense embeddings of mask prompts, added to the image embedding: (P, embed_dim, S / 16, S / 16)."""
        if prompts.masks is None:
            raise ValueError("no prompt of the batch has a mask")
        dense: Tensor = self.mask_downscaling(prompts.masks)
        if prompts.has_mask is None:
            return dense
        return torch.where(prompts.has_mask.view(-1, 1, 1, 1), dense, self.no_mask_map())

    def no_mask_map(self) -> Tensor:
        """Dense embedding of prompts without a mask: (1, embed_dim, 1, 1)."""
        return self.no_mask_embed.weight.view(1, -1, 1, 1)
