"""The models there are, and their sizes."""

from __future__ import annotations

import torch
from torch import nn

from ..modeling.encoder_lite import LiteImageEncoder
from ..modeling.sam import HQSam
from ..modeling.tiny_vit import TinyViTImageEncoder
from ..modeling.vit import ViTConfig, ViTImageEncoder

VITS = {
    "vit_b": ViTConfig(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": ViTConfig(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": ViTConfig(1280, 32, 16, (7, 15, 23, 31)),
}
LITE, VIT_TINY = "lite", "vit_tiny"


def build_model(architecture: str, *, has_hq: bool = True, image_size: int = 1024) -> HQSam:
    """A model of that architecture.

    A ViT comes without memory behind its weights (on the meta device): drawing up to 637 million random
    numbers only to overwrite them would take longer than loading. The small models have tables beside their
    weights, so they are made for real.
    """
    if architecture in VITS:
        config = VITS[architecture]
        with torch.device("meta"):
            encoder: nn.Module = ViTImageEncoder(config, image_size)
            return HQSam(encoder, config.dim, image_size=image_size, has_hq=has_hq)
    if architecture == VIT_TINY:
        encoder = TinyViTImageEncoder()
        return HQSam(encoder, TinyViTImageEncoder.interm_dim, image_size=image_size, has_hq=has_hq)
    return HQSam(
        LiteImageEncoder(),
        LiteImageEncoder.interm_dim,
        interm_stride=LiteImageEncoder.interm_stride,
        image_size=image_size,
        has_hq=has_hq,
    )
