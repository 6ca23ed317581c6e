"""Runs in which a detector finds the prompts, or its boxes are the results."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hqsam_cli.batch.steps import Detect, DetectAndSegment
from hqsam_cli.configs import SegmentConfig
from hqsam_cli.prompts.table import PromptTable, Selection
from hqsam_cli.records import Category, Prompt
from tests.batch.boxes_as_masks import BoxPredictor, Heard, make_job, run, run_job


class CornerDetector:
    """Finds the upper left quarter, and all but a margin; raises on a green image."""

    categories: list[Category] = [{"id": 1, "name": "object"}]  # noqa: RUF012

    def __init__(self) -> None:
        self.groups: list[int] = []

    def detect(self, images: list[np.ndarray]) -> list[list[Prompt]]:
        self.groups.append(len(images))
        if any(tuple(image[0, 0]) == (0, 255, 0) for image in images):
            raise RuntimeError("cannot bear green")
        return [
            [
                Prompt(1, box=(0.0, 0.0, image.shape[1] / 2, image.shape[0] / 2), score=0.5),
                Prompt(2, box=(5.0, 5.0, float(image.shape[1]), float(image.shape[0])), score=0.25),
            ]
            for image in images
        ]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "imgs"
    folder.mkdir()
    for number in range(5):
        Image.new("RGB", (40, 30), (0, 0, 40 * number)).save(folder / f"{number}.png")
    return folder


def detecting(images: Path, output: Path | None, **changes: Any) -> tuple[Any, Heard, CornerDetector]:
    """A run with a detector; `predictor=None` for one of boxes alone."""
    predictor = changes.pop("predictor", BoxPredictor())
    reporter, detector = Heard(), CornerDetector()
    if predictor is None:
        step: Any = Detect(detector, Selection(), detector.categories)
    else:
        step = DetectAndSegment(detector, predictor, detector.categories, SegmentConfig())
    job = make_job(images, output, PromptTable(), **{"categories": step.categories, **changes})
    return run_job(job, step, 2, reporter), reporter, detector


def test_what_it_finds_is_segmented_in_the_same_groups(images: Path, tmp_path: Path) -> None:
    predictor = BoxPredictor()
    summary, reporter, detector = detecting(images, tmp_path / "out", predictor=predictor)
    assert (summary.exit_code, summary.done, summary.masks) == (0, 5, 10)
    assert detector.groups == predictor.groups == [2, 2, 1]
    boxes = [a["bbox"] for record in reporter.records for a in record.annotations]
    assert boxes == [[0, 0, 20, 15], [5, 5, 35, 25]] * 5
    again, _, idle = detecting(images, tmp_path / "out")
    assert (again.already_done, idle.groups) == (5, [])


def test_an_image_it_fails_on_harms_no_other(images: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (0, 255, 0)).save(images / "1.png")
    (images / "3.png").write_bytes(b"")
    summary, reporter, detector = detecting(images, tmp_path / "out")
    assert (summary.exit_code, summary.done, summary.masks) == (3, 3, 6)
    assert "1.png: the model failed (cannot bear green)" in summary.failed[0]
    assert "3.png" in summary.failed[1]
    assert detector.groups == [2, 1, 1, 1, 1]
    assert [len(record.annotations) for record in reporter.records] == [2, 0, 2, 0, 2]


def test_boxes_are_the_results_where_nothing_segments(images: Path) -> None:
    stream = io.BytesIO()
    summary, _, _ = detecting(images, None, predictor=None, formats=frozenset({"ndjson"}), stream=stream)
    assert (summary.exit_code, summary.masks) == (0, 10)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["file_name"] for line in lines] == [f"{number}.png" for number in range(5)]
    first, second = lines[0]["annotations"]
    assert (first["bbox"], first["area"], first["score"]) == ([0, 0, 20, 15], 300, 0.5)
    assert (second["bbox"], second["id"]) == ([5, 5, 35, 25], first["id"] + 1)


def test_a_job_with_prompts_needs_no_detector(images: Path, tmp_path: Path) -> None:
    assert run(images, tmp_path / "out")[0].masks == 10
