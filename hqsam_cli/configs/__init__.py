"""The options of each command as one frozen config; see `configs.option` for the declaration of options."""

from __future__ import annotations

from .detect import CONF, IOU, MAX_DET, YOLOE, DetectConfig, DetectorConfig
from .evaluate import EvalConfig, EvalOutput, Protocol
from .names import (
    DEFAULT_MAX_PIXELS,
    DEFAULT_MODEL,
    DEFAULT_TOLERANCE,
    MODEL_VARIABLE,
    STDIN,
    BoxFileFormat,
    BoxFormat,
    Crowds,
    Engine,
    Exif,
    MaskOutput,
    SegmentationKind,
    Windows,
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
from .train import Augmentation, Init, Learn, Schedule, Table, TrainConfig, Trained

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
    "YOLOE",
    "Augmentation",
    "BoxFileFormat",
    "BoxFormat",
    "CleanConfig",
    "Crowds",
    "CutoutConfig",
    "DetectConfig",
    "DetectorConfig",
    "Engine",
    "EvalConfig",
    "EvalOutput",
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
    "Table",
    "TrainConfig",
    "Trained",
    "Windows",
    "changes",
    "digest",
    "identity",
]
