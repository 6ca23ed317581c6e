"""Folders of images to high-quality instance masks with HQ-SAM: a command, `hqsam`, and a library.

from hqsam_cli import Predictor, load_model

predictor = Predictor(load_model("vit_l"))
result = predictor.predict(image, boxes=xyxy)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import HqsamError, ImageError

if TYPE_CHECKING:
    from .evaluation.config import EvalConfig, EvalOutput
    from .evaluation.evaluate import Evaluation, evaluate
    from .prediction import Prediction
    from .predictor import Predictor
    from .records import Prompt
    from .training.config import TrainConfig
    from .training.run import TrainResult
    from .training.train import train
    from .weights.checkpoints import load_model

__version__ = "0.1.0"
__all__ = [
    "EvalConfig",
    "EvalOutput",
    "Evaluation",
    "HqsamError",
    "ImageError",
    "Prediction",
    "Predictor",
    "Prompt",
    "TrainConfig",
    "TrainResult",
    "__version__",
    "evaluate",
    "load_model",
    "train",
]

_PLACES = {
    "EvalConfig": "evaluation.config",
    "EvalOutput": "evaluation.config",
    "Evaluation": "evaluation.evaluate",
    "Predictor": "predictor",
    "Prediction": "prediction",
    "Prompt": "records",
    "TrainConfig": "training.config",
    "TrainResult": "training.run",
    "evaluate": "evaluation.evaluate",
    "load_model": "weights.checkpoints",
    "train": "training.train",
}


def __getattr__(name: str) -> Any:
    """The parts that need torch or numpy, imported when they are asked for: the command starts without them."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_PLACES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
