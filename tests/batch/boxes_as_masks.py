"""A run whose model fills each box, as a program of its own so that tests can kill it.

python boxes_as_masks.py IMAGES OUTPUT SECONDS_A_GROUP [SECONDS_A_JOURNAL_OBJECT]
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from hqsam_cli.batch import object_journal
from hqsam_cli.batch.job import Job, PromptsByName, Summary, make_plan
from hqsam_cli.batch.pipeline import PreparedRun
from hqsam_cli.batch.steps import Segment, Step
from hqsam_cli.batch.work import Engine, LocalEngine, Worker
from hqsam_cli.configs import PolygonConfig, RunConfig, SegmentConfig
from hqsam_cli.formats.outputs import Outputs
from hqsam_cli.inference.preprocess import ResizedImage, ResizeLongestSide, WindowedImage
from hqsam_cli.io.addresses import is_address
from hqsam_cli.io.find import find_images
from hqsam_cli.io.run_folder import JOURNAL, JOURNAL_FOLDER
from hqsam_cli.progress import Progress, Silent
from hqsam_cli.records import Category, ImagePrompts, ImageRecord, Instance, MaskCrop, Prompt, RawPrompt

# Options of a run that `make_job` puts into its config.
RUN_OPTIONS = {"exif", "max_pixels", "overwrite", "overwrite_edited", "prune", "redo", "retry_failed"}


class BoxPredictor:
    """Fills boxes; raises on an image whose top left pixel is red."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.groups: list[int] = []

    def resize(self, image: np.ndarray | WindowedImage) -> ResizedImage:
        height, width = image.shape[:2]
        pixels = image if isinstance(image, np.ndarray) else image.reduced(height, width)
        return ResizedImage(pixels, ResizeLongestSide.of(height, width, max(height, width)), image)

    def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        self.groups.append(len(images))
        time.sleep(self.seconds)
        if any(tuple(image.pixels[0, 0]) == (255, 0, 0) for image in images):
            raise RuntimeError("cannot bear red")
        return [[self._instance(p, image.pixels) for p in own] for image, own in zip(images, prompts, strict=True)]

    def _instance(self, prompt: Prompt, image: np.ndarray) -> Instance:
        assert prompt.box is not None
        x0, y0, x1, y1 = (int(n) for n in prompt.box)
        return Instance(
            prompt, MaskCrop(np.ones((y1 - y0, x1 - x0), bool), x0, y0, image.shape[1], image.shape[0]), 0.5
        )


class TwoBoxes:
    """Two prompts for every image."""

    categories: list[Category] = [{"id": 1, "name": "object"}]  # noqa: RUF012

    def for_image(self, file_name: str) -> ImagePrompts:
        number = int.from_bytes(file_name.encode("utf-8", "surrogateescape")[-6:], "big")
        boxes = [(1.0, 2.0, 9.0, 8.0), (3.0, 3.0, 20.0, 12.0)]
        return ImagePrompts(file_name, number, None, [RawPrompt(2 * number + i, box=b) for i, b in enumerate(boxes)])


class Heard(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[ImageRecord] = []
        self.problems: list[str] = []
        self.said: list[str] = []
        self.already_done = 0

    def say(self, text: str, *, verbose: bool = False) -> None:
        self.said.append(text)

    def on_start(self, total: int, done: int, *, title: str = "", unit: str = "image") -> None:
        self.already_done = done

    def on_record(self, record: ImageRecord) -> None:
        self.records.append(record)

    def on_problem(self, text: str) -> None:
        self.problems.append(text)


def make_job(images: Path | str, output: Path | str | None, /, prompts: PromptsByName, **changes: Any) -> Job:
    """A job over the images of a folder, or of an address."""
    chosen = {name: changes.pop(name) for name in RUN_OPTIONS & changes.keys()}
    options: dict[str, Any] = {
        "images": find_images([str(images)]).images,
        "prompts": prompts,
        "output": output,
        "formats": frozenset({"coco", "png"}),
        "config": RunConfig(**{"max_pixels": 10**6, **chosen}),
        "batch_size": 2,
        "categories": TwoBoxes.categories,
        "identity": {},
        "journal": output / JOURNAL if isinstance(output, Path) else output and f"{output}/{JOURNAL_FOLDER}",
    }
    return Job(**(options | changes))


def run(
    images: Path | str,
    output: Path | str | None,
    /,
    predictor: BoxPredictor | None = None,
    *,
    threads: int = 2,
    tolerance: float | None = None,
    **changes: Any,
) -> tuple[Summary, Heard]:
    """One run over a folder."""
    reporter = Heard()
    options: dict[str, Any] = {"prompts": TwoBoxes(), "identity": {"model": "box", "mask_output": "sum"}} | changes
    job = make_job(images, output, **options)
    config = SegmentConfig(polygons=PolygonConfig(tolerance=tolerance))
    step = Segment(predictor or BoxPredictor(), TwoBoxes.categories, config)
    return run_job(job, step, threads, reporter), reporter


def run_job(job: Job, step: Step[Any], threads: int, progress: Progress) -> Summary:
    """One run, in this process."""
    outputs = job.outputs()
    return run_engine(job, outputs, LocalEngine(Worker(job, outputs, step), threads), progress)


def run_engine(job: Job, outputs: Outputs | None, engine: Engine, progress: Progress) -> Summary:
    """One run, by any engine."""
    plan = make_plan(job, outputs)
    return PreparedRun(job=job, outputs=outputs, engine=lambda: engine, plan=plan).run(progress)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != "journal.ndjson"
    }


def journaled(output: Path) -> list[str]:
    """The images in the journal, in its order."""
    lines = map(json.loads, (output / "journal.ndjson").read_bytes().splitlines())
    return [line["file_name"] for line in lines if "file_name" in line]


if __name__ == "__main__":
    place = sys.argv[2] if is_address(sys.argv[2]) else Path(sys.argv[2])
    object_journal.SECONDS = float(sys.argv[4]) if sys.argv[4:] else object_journal.SECONDS
    sys.exit(run(sys.argv[1], place, BoxPredictor(float(sys.argv[3])))[0].exit_code)
