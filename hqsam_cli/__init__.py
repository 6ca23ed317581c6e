"""Folders of images to high-quality instance masks with HQ-SAM: a command, `hqsam`, and a library.

from hqsam_cli import Predictor, PromptConfig, SegmentConfig, load_model, segment_images

summary = segment_images("./imgs", "masks", SegmentConfig(prompts=PromptConfig(boxes="dets.json")))

predictor = Predictor(load_model("vit_l"))
result = predictor.predict(image, boxes=xyxy)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import HqsamError, ImageError

if TYPE_CHECKING:
    from .batch.detect import detect_images
    from .batch.job import Summary
    from .batch.segment import segment_images
    from .configs import (
        CleanConfig,
        CutoutConfig,
        DetectConfig,
        DetectorConfig,
        EvalConfig,
        EvalOutput,
        EverythingConfig,
        PolygonConfig,
        PromptConfig,
        SegmentConfig,
        TrainConfig,
    )
    from .evaluation.evaluate import Evaluation, evaluate
    from .inference.prediction import Prediction
    from .inference.predictor import Predictor
    from .inference.windows import WindowPredictor
    from .io.images import read_image
    from .records import Prompt
    from .training.run import TrainResult
    from .training.train import train
    from .weights.checkpoints import load_model

__version__ = "0.1.0"
__all__ = [
    "CleanConfig",
    "CutoutConfig",
    "DetectConfig",
    "DetectorConfig",
    "EvalConfig",
    "EvalOutput",
    "Evaluation",
    "EverythingConfig",
    "HqsamError",
    "ImageError",
    "PolygonConfig",
    "Prediction",
    "Predictor",
    "Prompt",
    "PromptConfig",
    "SegmentConfig",
    "Summary",
    "TrainConfig",
    "TrainResult",
    "WindowPredictor",
    "__version__",
    "detect_images",
    "evaluate",
    "load_model",
    "read_image",
    "segment_images",
    "train",
]

_MODULES = {
    "CleanConfig": "configs",
    "CutoutConfig": "configs",
    "DetectConfig": "configs",
    "DetectorConfig": "configs",
    "EvalConfig": "configs",
    "EvalOutput": "configs",
    "EverythingConfig": "configs",
    "PolygonConfig": "configs",
    "PromptConfig": "configs",
    "SegmentConfig": "configs",
    "Summary": "batch.job",
    "detect_images": "batch.detect",
    "segment_images": "batch.segment",
    "Prediction": "inference.prediction",
    "Predictor": "inference.predictor",
    "WindowPredictor": "inference.windows",
    "Prompt": "records",
    "TrainConfig": "configs",
    "TrainResult": "training.run",
    "Evaluation": "evaluation.evaluate",
    "evaluate": "evaluation.evaluate",
    "load_model": "weights.checkpoints",
    "read_image": "io.images",
    "train": "training.train",
}


def __getattr__(name: str) -> Any:
    """Import names that need torch or numpy on first access, so that `import hqsam_cli` is fast."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
