"""The two small layers that every part of SAM shares."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

# The call of torch's compiler, which its public ones have no equal of.
HAS_CONV_GELU = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of an NCHW tensor, eps 1e-6 as in SAM.

    Computed over the last axis of the permuted tensor, which is several times faster than over axis 1 and for
    channels-last tensors, such as those of the decoder, moves nothing in memory.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape in channels-last; means and variances are of float32."""
        last = x.permute(0, 2, 3, 1)
        # Kernels of the CPU alone take weights in float32 beside another precision.
        dtype = torch.float32 if x.is_cpu else x.dtype
        weight, bias = self.weight.to(dtype), self.bias.to(dtype)
        # Autocast would bring it all to float32 and back; tensors that are shapes alone know none.
        with nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
            normed = functional.layer_norm(last, weight.shape, weight, bias, self.eps)
        return normed.permute(0, 3, 1, 2)


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


def conv_gelu(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """GELU of a convolution of a tensor on the CPU, without gradients, as oneDNN computes both in one pass.

    Torch's own GELU takes as long as many of the convolutions before it.
    """
    geometry = list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups
    out: Tensor = torch.ops.mkldnn._convolution_pointwise(x, conv.weight, conv.bias, *geometry, "gelu", [], "none")
    return out
