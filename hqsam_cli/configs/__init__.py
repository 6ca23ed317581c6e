"""All that a command is told, in one frozen record each; see `configs.option` for how an option is declared."""

from __future__ import annotations

from .detect import CONF, IOU, MAX_DET, DetectConfig, DetectorConfig
from .evaluate import EvalConfig, Protocol
from .names import (
    DEFAULT_MAX_PIXELS,
    DEFAULT_MODEL,
    DEFAULT_TOLERANCE,
    MODEL_VARIABLE,
    STDIN,
    BoxFileFormat,
    BoxFormat,
    Engine,
    Exif,
    MaskOutput,
    SegmentationKind,
)
from .run import RunConfig
from .run_identity import VERSION, changes, digest, identity
from .segment import (
    CleanConfig,
    CutoutConfig,
    EverythingConfig,
    ObjectsConfig,
    PolygonConfig,
    PromptConfig,
    SegmentConfig,
)
from .train import Augmentation, Init, Learn, Schedule, TrainConfig, Trained

__all__ = [
    "CONF",
    "DEFAULT_MAX_PIXELS",
    "DEFAULT_MODEL",
    "DEFAULT_TOLERANCE",
    "IOU",
    "MAX_DET",
    "MODEL_VARIABLE",
    "STDIN",
    "VERSION",
    "Augmentation",
    "BoxFileFormat",
    "BoxFormat",
    "CleanConfig",
    "CutoutConfig",
    "DetectConfig",
    "DetectorConfig",
    "Engine",
    "EvalConfig",
    "EverythingConfig",
    "Exif",
    "Init",
    "Learn",
    "MaskOutput",
    "ObjectsConfig",
    "PolygonConfig",
    "PromptConfig",
    "Protocol",
    "RunConfig",
    "Schedule",
    "SegmentConfig",
    "SegmentationKind",
    "TrainConfig",
    "Trained",
    "changes",
    "digest",
    "identity",
]
