"""Builders of predictors, detectors and engines from a config, in this or another process.

Importing this module does not import torch, which an exported model does without.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..configs import DetectorConfig, SegmentConfig, Windows
from ..errors import UsageError
from ..formats.outputs import Outputs
from ..inference.device import Compute, resolve_devices
from ..inference.exported import ExportedModel, ExportedPredictor
from ..progress import SILENT, Progress
from ..records import Category
from ..weights.registry import no_hq_message
from .job import Job
from .process_engine import ProcessEngine
from .ray_engine import RayEngine
from .steps import DetectAndSegment, Segment, SegmentSalient, SegmentUnprompted
from .work import Engine, LocalEngine, Worker

if TYPE_CHECKING:
    from ..detection.detector import Detector
    from ..detection.visual_prompts import Examples


@dataclass(frozen=True, slots=True)
class Models:
    """Model files of a run, and their device and precision.

    Attributes:
        checkpoint: of HQ-SAM or SAM.
        detector: predicts the boxes; None if prompts come from files.
        examples: of the objects that it finds, if given.
        finds_objects: point grids also propose objects; the detector adds what they miss.
        exported: the description of an exported model, if `checkpoint` is its file.
    """

    checkpoint: Path
    compute: Compute
    detector: Path | None = None
    examples: Examples | None = None
    finds_objects: bool = False
    exported: ExportedModel | None = None


def build_step(
    config: SegmentConfig,
    models: Models,
    categories: list[Category],
    detector: Detector | None = None,
    progress: Progress = SILENT,
) -> Segment:
    """Load the models and build the step that predicts masks.

    Args:
        categories: of the results; see `Detect` for those of a detector.
        detector: the detector, if already loaded.
        progress: receives the progress within an image, if it takes long.

    Raises:
        HqsamError: a file is not a model.
        UsageError: the model does not support `mask_output`.
    """
    windows = config.windows
    # Those find objects in windows themselves.
    predictor = _predictor(config, models, "off" if config.everything or models.finds_objects else windows)
    if config.everything:
        from ..inference.everything import MaskGenerator

        everything = MaskGenerator(predictor, config.generator, windows=windows, on_part=progress.on_part)
        return SegmentUnprompted(everything, categories, config)
    if config.prompts.salient:
        from ..weights.saliency import make_salient_predictor

        return SegmentSalient(make_salient_predictor(predictor), categories, config)
    if detector is None and models.detector is not None:
        from ..detection.detector import Detector

        detection = boxes_config(config.detection, finds_objects=models.finds_objects)
        detector = Detector(models.detector, detection, models.compute.device, examples=models.examples)
    if detector is None:
        return Segment(predictor, categories, config)
    if models.finds_objects:
        from ..inference.objects import ObjectPredictor
        from ..weights.objectness import load_objectness

        objects = ObjectPredictor(
            predictor,
            config.objects,
            load_objectness(predictor.model),
            detector.detect,
            windows=windows,
            on_part=progress.on_part,
        )
        return SegmentUnprompted(objects, categories, config)
    return DetectAndSegment(detector, predictor, categories, config)


def boxes_config(config: DetectorConfig, *, finds_objects: bool) -> DetectorConfig:
    """Options of the detector itself; where it only proposes objects, threshold and number apply to the masks."""
    return replace(config, score_threshold=None, max_det=None) if finds_objects else config


def make_engine(
    config: SegmentConfig,
    models: Models,
    job: Job,
    outputs: Outputs | None,
    detector: Detector | None,
    progress: Progress,
) -> Engine:
    """Create the engine of a job: this process, one process per device, or Ray actors.

    Raises:
        HqsamError: the models cannot be loaded, or the cluster is unreachable.
    """
    build = partial(_build_worker, config, models, job.without_images())
    if config.engine == "ray":
        groups = math.ceil(len(job.images) / job.batch_size)
        return RayEngine(build, config.address, config.actors, groups, on_gpu=models.compute.type != "cpu")
    devices = [] if config.devices is None else resolve_devices(config.devices)
    if len(devices) > 1:
        builds = [partial(build, device=str(device)) for device in devices]
        return ProcessEngine(builds, config.workers)
    step = build_step(config, models, job.categories, detector, progress)
    return LocalEngine(Worker(job, outputs, step), config.workers)


def _build_worker(config: SegmentConfig, models: Models, job: Job, *, device: str | None = None) -> Worker:
    if device is not None:
        models = replace(models, compute=models.compute._replace(name=device))
    return Worker(job, job.outputs(), build_step(config, models, job.categories))


def _predictor(config: SegmentConfig, models: Models, windows: Windows) -> Any:
    """The `Predictor` of a checkpoint, or the `ExportedPredictor` of an exported model."""
    shared: dict[str, Any] = {
        "mask_output": config.mask_output,
        "choice": "all" if config.multimask else "single",
        "compare_sam": config.compare_sam,
        "prompts_per_batch": config.prompts_per_batch or models.compute.prompts_per_batch,
        "soft": config.cutout.soft,
    }
    if models.exported is not None:
        return ExportedPredictor(models.checkpoint.parent, models.exported, models.compute, **shared)
    from ..inference.everything import choice_at_points
    from ..inference.predictor import prepare_for_inference
    from ..inference.windows import make_predictor
    from ..weights.checkpoints import load_checkpoint

    hq_sam = load_checkpoint(models.checkpoint)
    if config.mask_output != "sam" and not hq_sam.has_hq:
        raise UsageError(no_hq_message(models.checkpoint, config.mask_output or "hq"))
    if config.everything:
        shared["choice"] = choice_at_points(config.mask_output, config.generator)
    device, dtype = models.compute.device, models.compute.dtype
    model = prepare_for_inference(hq_sam, device, dtype)
    if config.compile:
        model.image_encoder.compile()
    return make_predictor(model, windows, dtype=dtype, **shared)
