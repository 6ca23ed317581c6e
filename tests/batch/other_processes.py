"""What processes of their own work with: a model that fills boxes, or that dies with its process."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from hqsam_cli.batch.job import Job
from hqsam_cli.batch.steps import Segment
from hqsam_cli.batch.work import Worker
from hqsam_cli.errors import HqsamError
from hqsam_cli.inference.preprocess import ResizedImage
from hqsam_cli.records import Instance, Prompt
from tests.batch.boxes_as_masks import BoxPredictor, TwoBoxes

IDENTITY = {"model": "box", "mask_output": "sum"}


class DyingPredictor(BoxPredictor):
    """Dies with its process on the first image that it ever sees, so many times."""

    def __init__(self, mark: Path, times: int = 1) -> None:
        super().__init__()
        self.mark, self.times = mark, times

    def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        for number in range(self.times):
            try:
                self.mark.with_name(self.mark.name + str(number or "")).touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict_batch(images, prompts)


class KilledPredictor(BoxPredictor):
    """Dies with its process on `sub/5.png` of `mixed_images`, whenever it sees it."""

    def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        if any(tuple(image.pixels[0, 0]) == (0, 100, 90) for image in images):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict_batch(images, prompts)


def build(job: Job, predictor: BoxPredictor) -> Worker:
    return Worker(job, job.outputs(), Segment(predictor, TwoBoxes.categories))


def build_nothing(_job: Job, _predictor: BoxPredictor) -> Worker:
    raise HqsamError("no model", file="model.pth", remedy="fetch it")


def build_killed(_job: Job, _predictor: BoxPredictor) -> Worker:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "journal.ndjson")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
