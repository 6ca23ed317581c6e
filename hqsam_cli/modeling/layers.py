"""Layers shared by the parts of SAM."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

# Used by torch's compiler; there is no public equivalent.
HAS_CONV_GELU = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of an NCHW tensor, eps 1e-6 as in SAM.

    Computed over the last axis of the permuted tensor, which is several times faster than over axis 1, and avoids
    copying channels-last tensors.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape in channels-last; statistics are computed in float32."""
        return layer_norm(x.permute(0, 2, 3, 1), self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Layer norm over the last axis of (..., C), with the statistics in float32, to the same shape and dtype."""
    # Only CPU kernels accept float32 weights with inputs of another dtype.
    dtype = torch.float32 if x.is_cpu else x.dtype
    # Autocast would cast everything to float32 and back; meta tensors have no autocast.
    with nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
        return functional.layer_norm(x, weight.shape, weight.to(dtype), bias.to(dtype), eps)


class MLP(nn.Module):
    """Linear layers with ReLU between them; the state keys are `layers.N.*`."""

    def __init__(self, width_in: int, width_hidden: int, width_out: int, depth: int) -> None:
        super().__init__()
        widths = [width_in, *[width_hidden] * (depth - 1), width_out]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width_in) to (..., width_out)."""
        for layer in self.layers[:-1]:
            x = functional.relu(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


class MLPBlock(nn.Module):
    """Two linear layers with an activation between them; the state keys are `lin1` and `lin2`."""

    def __init__(self, embed_dim: int, mlp_dim: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.lin1 = nn.Linear(embed_dim, mlp_dim)
        self.lin2 = nn.Linear(mlp_dim, embed_dim)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(..., embed_dim) to the same shape."""
        out: Tensor = self.lin2(self.activation(self.lin1(x)))
        return out


def conv_gelu(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Convolution and GELU fused by oneDNN, on the CPU and without gradients.

    A separate GELU takes as long as many of the convolutions.
    """
    geometry = list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups
    out: Tensor = torch.ops.mkldnn._convolution_pointwise(x, conv.weight, conv.bias, *geometry, "gelu", [], "none")
    return out
