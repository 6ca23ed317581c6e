"""The models there are: their sizes, and where their official weights live."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from .encoder_lite import LiteImageEncoder
from .encoder_tiny import TinyViTImageEncoder
from .encoder_vit import ViTConfig, ViTImageEncoder
from .sam import HQSam

VITS = {
    "vit_b": ViTConfig(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": ViTConfig(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": ViTConfig(1280, 32, 16, (7, 15, 23, 31)),
}
LITE, VIT_TINY = "lite", "vit_tiny"
ARCHITECTURES = (LITE, VIT_TINY, *VITS)


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One official file on the Hugging Face hub."""

    repository: str
    file: str
    size: int
    sha256: str


HQ_SAM = "lkeab/hq-sam"
WEIGHTS = {
    "vit_tiny": WeightsFile(
        HQ_SAM,
        "sam_hq_vit_tiny.pth",
        42_526_881,
        "0f32c075ccdd870ae54db2f7630e7a0878ede5a2b06d05d6fe02c65a82fb7196",
    ),
    "vit_b": WeightsFile(
        HQ_SAM,
        "sam_hq_vit_b.pth",
        379_335_069,
        "14a9d662cd6f5a9c2dba6d40ab0058d88d287e4a18fd6fdc6ad5fb1a3fdeaa57",
    ),
    "vit_l": WeightsFile(
        HQ_SAM,
        "sam_hq_vit_l.pth",
        1_254_865_805,
        "e1a6c385d62bf005ded91a54d5ec55c985cfc4103ef89c08d90f39f04934c343",
    ),
    "vit_h": WeightsFile(
        HQ_SAM,
        "sam_hq_vit_h.pth",
        2_570_940_653,
        "a7ac14a085326d9fa6199c8c698c4f0e7280afdbb974d2c4660ec60877b45e35",
    ),
}


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
        return HQSam(encoder, TinyViTImageEncoder.early_dim, image_size=image_size, has_hq=has_hq)
    return HQSam(
        LiteImageEncoder(),
        LiteImageEncoder.early_dim,
        early_stride=LiteImageEncoder.early_stride,
        image_size=image_size,
        has_hq=has_hq,
    )
