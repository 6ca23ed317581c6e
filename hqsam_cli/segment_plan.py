"""All that making masks takes, as plain values: a step is built of it here, or in another process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .batch.job import Job
from .batch.pipeline import make_worker
from .batch.steps import DetectAndSegment, Finish, Segment, SegmentEverything, SegmentObjects
from .batch.work import Worker
from .configs import DetectorConfig, EverythingConfig, MaskOutput, ObjectsConfig
from .detection.detector import Detector
from .errors import UsageError
from .inference.everything import MaskGenerator, choice_at_points
from .inference.objects import ObjectPredictor
from .inference.predictor import Predictor, prepare_for_inference
from .modeling.sam import MaskChoice
from .prompts.select import Selection
from .weights.checkpoints import load_checkpoint
from .weights.registry import no_hq_message


@dataclass(frozen=True, slots=True)
class DetectorPlan:
    """A detector's file, and what to ask of it; `trusted` may run the code that is in it."""

    path: Path
    settings: DetectorConfig
    trusted: bool = False

    def build(self, device: torch.device, *, may_fetch: bool = True) -> Detector:
        """The detector, loaded."""
        return Detector(self.path, self.settings, device, trusted=self.trusted, may_fetch=may_fetch)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPlan:
    """What `hqsam segment` does with images.

    Attributes:
        checkpoint: of the model.
        categories: of the prompts, which a detector has of its own.
        detector: finds the boxes; None where files have the prompts.
        objects: what points find too; the detector has what they leave.
        everything: masks of all there is instead.
        selection: which of what is found is kept.
    """

    checkpoint: Path
    device: torch.device
    dtype: torch.dtype
    prompts_per_batch: int
    mask_output: MaskOutput = "sum"
    multimask: bool = False
    compare_sam: bool = False
    soft: bool = False
    categories: list[dict[str, Any]]
    detector: DetectorPlan | None = None
    objects: ObjectsConfig | None = None
    everything: EverythingConfig | None = None
    selection: Selection
    finish: Finish

    def build(self, finder: Detector | None = None) -> Segment:
        """The step, its models loaded.

        Args:
            finder: the detector, where it is loaded already.

        Raises:
            HqsamError: a file is none of a model.
            UsageError: the model has no such masks.
        """
        predictor = self._predictor()
        if self.everything is not None:
            return SegmentEverything(MaskGenerator(predictor, self.everything), self.selection, finish=self.finish)
        if finder is None and self.detector is not None:
            finder = self.detector.build(self.device)
        if finder is None:
            return Segment(predictor, self.categories, multimask=self.multimask, finish=self.finish)
        if self.objects is not None:
            return SegmentObjects(finder, self.selection, ObjectPredictor(predictor, self.objects), finish=self.finish)
        return DetectAndSegment(finder, self.selection, predictor, multimask=self.multimask, finish=self.finish)

    def worker(self, job: Job) -> Worker:
        """What works on the images of a job, its models loaded; for an engine whose processes are elsewhere."""
        return make_worker(job, self.build())

    def _predictor(self) -> Predictor:
        hq_sam = load_checkpoint(self.checkpoint)
        choice: MaskChoice
        if self.mask_output != "sam" and not hq_sam.has_hq:
            raise UsageError(no_hq_message(self.checkpoint, self.mask_output))
        if self.everything is not None:
            choice = choice_at_points(self.mask_output)
        else:
            choice = "all" if self.multimask else "single"
        return Predictor(
            prepare_for_inference(hq_sam, self.device, self.dtype),
            mask_output=self.mask_output,
            choice=choice,
            compare_sam=self.compare_sam,
            dtype=self.dtype,
            prompts_per_batch=self.prompts_per_batch,
            soft=self.soft,
        )
