"""Modules without initial weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch.overrides import TorchFunctionMode


class Uninitialized(TorchFunctionMode):
    """Skips the functions of `torch.nn.init`.

    On the meta device `normal_` would import torch's compiler, which takes a second and 150 MB.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Return the tensor of an initialization unchanged; call other functions."""
        kwargs = kwargs or {}
        is_init = getattr(func, "__module__", None) == "torch.nn.init"  # attributes of tensors have no module
        return kwargs["tensor"] if is_init else func(*args, **kwargs)
