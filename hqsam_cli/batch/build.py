"""Builders of predictors, detectors and engines from a config, in this or another process."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from ..configs import SegmentConfig
from ..detection.detector import Detector
from ..errors import UsageError
from ..formats.outputs import Outputs
from ..inference.device import Compute, resolve_devices
from ..inference.everything import MaskGenerator, choice_at_points
from ..inference.objects import ObjectPredictor
from ..inference.predictor import Predictor, prepare_for_inference
from ..inference.windows import make_predictor
from ..progress import SILENT, Progress
from ..records import Category
from ..weights.checkpoints import load_checkpoint
from ..weights.registry import no_hq_message
from .job import Job
from .process_engine import ProcessEngine
from .ray_engine import RayEngine
from .steps import DetectAndSegment, Segment, SegmentEverything, SegmentObjects, SegmentSalient
from .work import Engine, LocalEngine, Worker


@dataclass(frozen=True, slots=True)
class Models:
    """Model files of a run, and their device and precision.

    Attributes:
        checkpoint: of HQ-SAM or SAM.
        detector: predicts the boxes; None if prompts come from files.
        finds_objects: point grids also propose objects; the detector adds what they miss.
    """

    checkpoint: Path
    compute: Compute
    detector: Path | None = None
    finds_objects: bool = False


def build_step(
    config: SegmentConfig,
    models: Models,
    categories: list[Category],
    detector: Detector | None = None,
    progress: Progress = SILENT,
) -> Segment:
    """Load the models and build the step that predicts masks.

    Args:
        categories: of prompts from files; a detector has its own.
        detector: the detector, if already loaded.
        progress: receives the progress within an image, if it takes long.

    Raises:
        HqsamError: a file is not a model.
        UsageError: the model does not support `mask_output`.
    """
    predictor = _predictor(config, models)
    if config.everything:
        return SegmentEverything(MaskGenerator(predictor, config.generator, progress.on_part), config)
    if config.prompts.salient:
        return SegmentSalient(ObjectPredictor(predictor, config.objects), categories, config)
    if detector is None and models.detector is not None:
        detector = Detector(models.detector, config.detection, models.compute.device)
    if detector is None:
        return Segment(predictor, categories, config)
    if models.finds_objects:
        return SegmentObjects(detector, ObjectPredictor(predictor, config.objects), config)
    return DetectAndSegment(detector, predictor, config)


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
        return RayEngine(build, config.address, config.actors, groups, on_gpu=models.compute.device.type != "cpu")
    devices = [] if config.devices is None else resolve_devices(config.devices)
    if len(devices) > 1:
        builds = [partial(build, device=device) for device in devices]
        return ProcessEngine(builds, config.workers)
    step = build_step(config, models, job.categories, detector, progress)
    return LocalEngine(Worker(job, outputs, step), config.workers)


def _build_worker(config: SegmentConfig, models: Models, job: Job, *, device: torch.device | None = None) -> Worker:
    if device is not None:
        models = replace(models, compute=models.compute._replace(device=device))
    return Worker(job, job.outputs(), build_step(config, models, job.categories))


def _predictor(config: SegmentConfig, models: Models) -> Predictor:
    hq_sam = load_checkpoint(models.checkpoint)
    if config.mask_output != "sam" and not hq_sam.has_hq:
        raise UsageError(no_hq_message(models.checkpoint, config.mask_output or "hq"))
    device, dtype = models.compute
    return make_predictor(
        prepare_for_inference(hq_sam, device, dtype),
        config.windows,
        mask_output=config.mask_output,
        choice=choice_at_points(config.mask_output) if config.everything else "all" if config.multimask else "single",
        compare_sam=config.compare_sam,
        dtype=dtype,
        prompts_per_batch=config.prompts_per_batch or models.compute.prompts_per_batch,
        soft=config.cutout.soft,
    )
