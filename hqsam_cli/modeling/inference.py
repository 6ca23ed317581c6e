"""A model made ready to predict: what depends on its weights alone is computed once."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import nn

from .sam import HQSam

PRODUCTS = nn.Linear, nn.Conv2d, nn.ConvTranspose2d


@runtime_checkable
class Folds(Protocol):
    """A module that computes the same with less work once its weights no longer change."""

    def fold(self) -> None:
        """Compute what depends on the weights alone; the module can no longer be trained or saved."""


def prepare_for_inference(model: HQSam, device: str | torch.device, dtype: torch.dtype = torch.float32) -> HQSam:
    """The same model on its device, its modules folded and its weights in channels-last.

    The logits stay equal to 1e-5 of their range; the state keys do not.

    Args:
        dtype: what it will compute in. Autocast would bring the weights of each product to it at every call, which on
            a GPU takes longer than many of the products.
    """
    model.eval().requires_grad_(False)
    for module in list(model.modules()):
        if isinstance(module, Folds):
            module.fold()
    on_cpu = torch.device(device).type == "cpu"
    exact = {
        part for own in model.modules() if on_cpu and getattr(own, "float32_on_cpu", False) for part in own.modules()
    }
    for module in model.modules():
        if isinstance(module, PRODUCTS) and module not in exact:
            module.to(dtype)
    return model.to(device).to(memory_format=torch.channels_last)
