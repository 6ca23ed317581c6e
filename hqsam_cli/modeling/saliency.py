"""A head that predicts the saliency map of an image from its embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 16  # channels
DILATIONS = 1, 2, 4


class SaliencyHead(nn.Module):
    """Dilated convolutions, with the position of each cell, and mean and maximum of the image.

    Args:
        channels: C of the embedding.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, WIDTH, 1)
        self.position = nn.Conv2d(4, WIDTH, 1, bias=False)
        self.context = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=n, dilation=n) for n in DILATIONS)
        self.image = nn.Linear(2 * WIDTH, WIDTH)
        self.logit = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, embedding: Tensor) -> Tensor:
        """Saliency logits (B, h, w) of embeddings (B, C, h, w), which are without padding."""
        x = functional.gelu(self.project(embedding)) + self.position(_positions(embedding))
        for convolution in self.context:
            x = x + functional.gelu(convolution(x))
        image = self.image(torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1))
        logits: Tensor = self.logit(functional.gelu(x + image[:, :, None, None]))
        return logits[:, 0]


def _positions(like: Tensor) -> Tensor:
    """Coordinates x and y of cells, -1 to 1, and their squares, (1, 4, h, w)."""
    height, width = like.shape[2:]
    y, x = ((2 * torch.arange(n, device=like.device) + 1) / n - 1 for n in (height, width))
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
    return torch.cat([grid, grid**2])[None].to(like.dtype)
