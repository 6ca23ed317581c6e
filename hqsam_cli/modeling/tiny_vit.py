"""TinyViT, the image encoder of MobileSAM and light HQ-SAM (`vit_tiny`).

State keys match the official checkpoints, including their unused classification head.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .layers import HAS_CONV_GELU, conv_gelu
from .vit import make_neck, window_partition, window_unpartition

DIMS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
HEADS = (2, 4, 5, 10)
WINDOWS = (7, 7, 14, 7)
EXPANSION = 4
CLASSES = 1000
STRIP = 64  # rows that a `ConvBlock` computes at once on a CPU
BIAS_ROW_MULTIPLE = 8  # alignment required by the fused attention kernels of GPUs


class ConvNorm(nn.Sequential):
    """Convolution without bias, and batch norm; the state keys are `c` and `bn`.

    Attributes:
        float32_on_cpu: compute in float32 under autocast on a CPU. These convolutions are depthwise or memory-bound, so
            bfloat16 is hardly faster, and its rounding errors there cause most of the accuracy loss.
    """

    float32_on_cpu = True
    c: nn.Conv2d
    bn: nn.BatchNorm2d | nn.Identity

    def __init__(self, width_in: int, width_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.add_module("c", nn.Conv2d(width_in, width_out, kernel, stride, kernel // 2, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(width_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) to (B, width_out, H / stride, W / stride)."""
        with torch.autocast("cpu", enabled=False) if x.is_cpu else nullcontext():
            out: Tensor = self.bn(self.c(x.float() if x.is_cpu else x))
        return out

    def gelu(self, x: Tensor) -> Tensor:
        """GELU of `forward`; a single fused kernel after `fuse` on CPUs with oneDNN."""
        if x.is_cpu and isinstance(self.bn, nn.Identity) and HAS_CONV_GELU:
            return conv_gelu(self.c, x.float())
        return functional.gelu(self(x))

    def fuse(self) -> None:
        """Fuse the batch norm into the convolution, for inference only."""
        if not isinstance(self.bn, nn.Identity):
            self.c, self.bn = fuse_conv_bn_eval(self.c, self.bn), nn.Identity()


class TinyViTImageEncoder(nn.Module):
    """Convolutions, window attention at strides 8 and 16, and SAM's neck.

    Args:
        embed_dim: channels of the embedding.
    """

    interm_dim = DIMS[2]

    def __init__(self, embed_dim: int = 256) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed()
        self.layers = nn.ModuleList([Stage(index) for index in range(4)])
        self.norm_head = nn.LayerNorm(DIMS[-1])
        self.head = nn.Linear(DIMS[-1], CLASSES)
        self.neck = make_neck(DIMS[-1], embed_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Image embedding (B, embed_dim, S / 16, S / 16) and early features (B, 160, S / 16, S / 16).

        Args:
            x: (B, 3, S, S) normalized images.
        """
        x = self.layers[1](self.layers[0](self.patch_embed(x)))
        interm_embeddings = x
        return self.neck(self.layers[3](self.layers[2](x))), interm_embeddings


class PatchEmbed(nn.Module):
    """Patch embedding by two strided convolutions, stride 4."""

    def __init__(self) -> None:
        super().__init__()
        self.seq = nn.Sequential(ConvNorm(3, DIMS[0] // 2, 3, 2), nn.GELU(), ConvNorm(DIMS[0] // 2, DIMS[0], 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, 64, S / 4, S / 4)."""
        first, _, second = self.seq  # the GELU is computed by `first.gelu`; in `seq` it keeps the state keys
        assert isinstance(first, ConvNorm)
        out: Tensor = second(first.gelu(x))
        return out


class Stage(nn.Module):
    """Blocks of one dimension, then a patch merging, which halves the resolution except in the last two stages."""

    def __init__(self, index: int) -> None:
        super().__init__()
        dim = DIMS[index]
        if index == 0:
            blocks: list[nn.Module] = [ConvBlock(dim) for _ in range(DEPTHS[0])]
        else:
            blocks = [AttentionBlock(dim, HEADS[index], WINDOWS[index]) for _ in range(DEPTHS[index])]
        self.blocks = nn.ModuleList(blocks)
        self.downsample = None
        if index < 3:
            # SAM's embedding has stride 16, so the last merging keeps the resolution.
            self.downsample = PatchMerging(dim, DIMS[index + 1], 1 if index == 2 else 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim, H, W) to the next stage's input."""
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class ConvBlock(nn.Module):
    """MobileNetV2's block with GELU, also after the residual connection.

    After `fuse`, a CPU computes it in strips of rows: an image's 256 x 256 positions have 134 MB of hidden activations.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(dim, EXPANSION * dim)
        self.conv2 = ConvNorm(EXPANSION * dim, EXPANSION * dim, 3, groups=EXPANSION * dim)
        self.conv3 = ConvNorm(EXPANSION * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim, H, W) to the same shape."""
        if not x.is_cpu or not isinstance(self.conv1.bn, nn.Identity):
            return functional.gelu(x + self.conv3(self.conv2.gelu(self.conv1.gelu(x))))
        strips = []
        for top in range(0, x.shape[2], STRIP):
            first = max(top - 1, 0)  # the 3 x 3 convolution reads a row above and below
            hidden = self.conv2.gelu(self.conv1.gelu(x[:, :, first : top + STRIP + 1]))
            change = self.conv3(hidden[:, :, top - first :][:, :, :STRIP])
            strips.append(functional.gelu(x[:, :, top : top + STRIP] + change))
        return torch.cat(strips, dim=2)


class PatchMerging(nn.Module):
    """Changes the dimension and, with stride 2, halves the resolution."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(width_in, width_out)
        self.conv2 = ConvNorm(width_out, width_out, 3, stride, groups=width_out)
        self.conv3 = ConvNorm(width_out, width_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) to (B, width_out, H / stride, W / stride)."""
        out: Tensor = self.conv3(self.conv2.gelu(self.conv1.gelu(x)))
        return out


class AttentionBlock(nn.Module):
    """Window attention, a depthwise convolution across windows, and an MLP."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = Attention(dim, heads, window)
        self.local_conv = ConvNorm(dim, dim, 3, groups=dim)
        self.mlp = NormedMLP(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim, H, W) to the same shape."""
        last = x.permute(0, 2, 3, 1)
        windows, padded = window_partition(last, self.window)
        out = self.attn(windows.flatten(1, 2)).unflatten(1, (self.window, self.window))
        last = last + window_unpartition(out, self.window, padded, (last.shape[1], last.shape[2]))
        last = self.local_conv(last.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        result: Tensor = (last + self.mlp(last)).permute(0, 3, 1, 2)
        return result


class NormedMLP(nn.Module):
    """Layer norm and two linear layers with GELU."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, EXPANSION * dim)
        self.fc2 = nn.Linear(EXPANSION * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) to the same shape."""
        out: Tensor = self.fc2(functional.gelu(self.fc1(self.norm(x))))
        return out


class Attention(nn.Module):
    """Multi-head attention in a window with a learned bias per absolute offset (rows, columns)."""

    fused_bias: Tensor | None

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.window = window
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        self.register_buffer("fused_bias", None, persistent=False)

    def bias(self) -> Tensor:
        """Attention bias of each head: (1, heads, N, N)."""
        positions = torch.arange(self.window, device=self.attention_biases.device)
        distances = (positions[:, None] - positions).abs()
        offsets = distances[:, None, :, None] * self.window + distances[None, :, None, :]
        return self.attention_biases[:, offsets.reshape(self.window**2, -1)][None]

    def fuse(self) -> None:
        """Precompute the attention bias, for inference only."""
        bias = self.bias()
        self.fused_bias = functional.pad(bias, (0, -bias.shape[-1] % BIAS_ROW_MULTIPLE))

    def forward(self, x: Tensor) -> Tensor:
        """(windows, N, dim) to the same shape."""
        qkv = self.qkv(self.norm(x)).unflatten(2, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        q, k, v = qkv.unbind(0)
        bias = self.bias() if self.fused_bias is None else self.fused_bias
        bias = bias.to(q.dtype)[..., : k.shape[2]]
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        y: Tensor = self.proj(out.transpose(1, 2).flatten(2))
        return y
