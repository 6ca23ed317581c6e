"""The image encoder of `lite`: EfficientNet-Lite0 and a neck to SAM's embedding.

EfficientNet-Lite0 is EfficientNet-B0 without squeeze-and-excitation and with ReLU6 (Apache-2.0,
https://github.com/tensorflow/tpu, models/official/efficientnet/lite). The state keys of the backbone
are our own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers import LayerNorm2d

# (expansion, kernel, stride, channels, repeats) of the seven stages.
LITE0_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STEM_CHANNELS = 32
BATCH_NORM_EPS = 1e-3


class ConvNorm(nn.Module):
    """Convolution with TensorFlow's `same` padding, batch norm and, where asked, ReLU6.

    The batch norm always uses its running statistics: the batches of a fine-tuning are too small to
    estimate new ones.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        *,
        activate: bool,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(width_out, eps=BATCH_NORM_EPS)
        self.activate = activate
        # `same` on an even side with stride 2 pads one pixel less at the top left than at the bottom right.
        self.uneven = stride == 2
        if self.uneven:
            self.conv.padding = (0, 0)
            self.pads = ((kernel - 2) // 2, kernel - 2 - (kernel - 2) // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) to (B, width_out, H / stride, W / stride)."""
        if self.uneven:
            before, after = self.pads
            x = functional.pad(x, (before, after, before, after))
        x = self.conv(x)
        norm = self.norm
        x = functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
        return functional.relu6(x, inplace=True) if self.activate else x


class InvertedResidual(nn.Module):
    """MobileNetV2's block: widen, filter each channel, narrow; add the input where shapes agree."""

    def __init__(self, width_in: int, width_out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        width = width_in * expansion
        self.expand = ConvNorm(width_in, width, activate=True) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(width, width, kernel, stride, groups=width, activate=True)
        self.project = ConvNorm(width, width_out, activate=False)
        self.residual = stride == 1 and width_in == width_out

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) to (B, width_out, H / stride, W / stride)."""
        y = self.project(self.depthwise(self.expand(x)))
        out: Tensor = x + y if self.residual else y
        return out


class ConvNeXtBlock(nn.Module):
    """A wide depthwise convolution and an MLP of each pixel, added to the input (Liu et al., CVPR 2022).

    Cheap at these strides, and where a pixel learns of the rest of its object.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = LayerNorm2d(width)
        self.expand = nn.Conv2d(width, 4 * width, 1)
        self.project = nn.Conv2d(4 * width, width, 1)
        self.scale = nn.Parameter(torch.full((width, 1, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same."""
        out: Tensor = x + self.scale * self.project(functional.gelu(self.expand(self.norm(self.depthwise(x)))))
        return out


class LiteImageEncoder(nn.Module):
    """EfficientNet-Lite0 whose strides 8, 16 and 32 are summed into one stride-16 embedding.

    Args:
        embed_dim: channels of the embedding, 256 in SAM.
    """

    interm_dim = LITE0_STAGES[1][3]
    interm_stride = 4

    def __init__(self, embed_dim: int = 256) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, 2, activate=True)
        self.stages = nn.ModuleList()
        width_in = STEM_CHANNELS
        for expansion, kernel, stride, width, repeats in LITE0_STAGES:
            blocks = [InvertedResidual(width_in, width, expansion, kernel, stride)]
            blocks += [InvertedResidual(width, width, expansion, kernel, 1) for _ in range(repeats - 1)]
            self.stages.append(nn.Sequential(*blocks))
            width_in = width
        # A stride-8 feature keeps its detail when its 2 x 2 pixels become channels.
        self.lateral8 = nn.Conv2d(4 * LITE0_STAGES[2][3], embed_dim, 1)
        self.lateral16 = nn.Conv2d(LITE0_STAGES[4][3], embed_dim, 1)
        self.lateral32 = nn.Conv2d(LITE0_STAGES[6][3], embed_dim, 1)
        self.context32 = nn.Sequential(*(ConvNeXtBlock(embed_dim) for _ in range(2)))
        self.context16 = ConvNeXtBlock(embed_dim)
        self.neck = nn.Sequential(
            LayerNorm2d(embed_dim),
            nn.GELU(),
            nn.Conv2d(embed_dim, embed_dim, 3, padding=1, groups=embed_dim // 32, bias=False),
            nn.Conv2d(embed_dim, embed_dim, 1, bias=False),
            LayerNorm2d(embed_dim),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Image embedding and early features.

        Args:
            x: (B, 3, S, S) normalize images, S a multiple of 32.

        Returns:
            The embedding (B, embed_dim, S / 16, S / 16) and the stride-4 features
            (B, 24, S / 4, S / 4), taken where the paper takes ViT's first global block: early,
            where edges are still sharp.
        """
        x = self.stages[0](self.stem(x))
        interm_embeddings = self.stages[1](x)
        at8 = self.stages[2](interm_embeddings)
        at16 = self.stages[4](self.stages[3](at8))
        at32 = self.stages[6](self.stages[5](at16))
        context = self.context32(self.lateral32(at32))
        upsampled = functional.interpolate(context, scale_factor=2.0, mode="bilinear", align_corners=False)
        embedding = self.lateral8(functional.pixel_unshuffle(at8, 2)) + self.lateral16(at16) + upsampled
        return self.neck(self.context16(embedding)), interm_embeddings
