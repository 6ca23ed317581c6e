"""Folders of images to high-quality instance masks with HQ-SAM: a command, `hqsam`, and a library.

from hqsam_cli import Predictor, load_model

predictor = Predictor(load_model("vit_l"))
result = predictor.predict(image, boxes=xyxy)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import HqsamError, ImageError

if TYPE_CHECKING:
    from .inference.predictor import Prediction, Predictor
    from .records import Prompt
    from .weights.checkpoints import load_model

__version__ = "0.1.0"
__all__ = ["HqsamError", "ImageError", "Prediction", "Predictor", "Prompt", "__version__", "load_model"]

_MODULES = {
    "Prediction": "inference.predictor",
    "Predictor": "inference.predictor",
    "Prompt": "records",
    "load_model": "weights.checkpoints",
}


def __getattr__(name: str) -> Any:
    """Import names that need torch or numpy on first access, so that `import hqsam_cli` is fast."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
