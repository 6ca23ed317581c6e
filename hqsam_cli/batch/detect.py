"""Object detection on folders of images, for `hqsam detect` and the Python API."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import BinaryIO

from ..configs import STDIN, BoxFileFormat, DetectConfig, identity
from ..configs.run_identity import made_by
from ..detection.files import EMBEDDED
from ..errors import UsageError
from ..formats import BOX_WRITERS
from ..formats.yolo import YoloWriter
from ..inference.device import resolve_compute
from ..io.addresses import path_or_address
from ..progress import SILENT, Progress
from ..prompts.categories import Categories, renumber_categories
from ..prompts.read import read_prompt_file
from ..prompts.table import PromptTable, Selection, number_images
from .check_config import check_redo, errors_allowed
from .detectors import load_detector, read_examples, with_yoloe
from .fingerprint import stamped
from .inputs import Inputs, input_images, input_paths, named_as_before
from .job import Job, Summary, make_plan
from .object_journal import journal_contents, journal_place
from .pipeline import PreparedRun
from .steps import Detect
from .work import LocalEngine, Worker

FOLDER = "hqsam_detect"
DEFAULT_NAMES: dict[BoxFileFormat, str] = {
    "coco": "dets.json",
    "results": "results.json",
    "yolo": "labels",
    "ndjson": "dets.ndjson",
}


def detect_images(
    inputs: Inputs,
    output: str | PathLike[str],
    config: DetectConfig | None = None,
    progress: Progress = SILENT,
) -> Summary:
    """Detect objects in images, and write boxes with classes and scores; see `segment_images`.

    Args:
        output: a file, or a folder of labels for the format `yolo`, or its URL.
    """
    run = prepare_detect(input_paths(inputs), fspath(output), config or DetectConfig(), progress)
    return run.run(progress)


def prepare_detect(
    inputs: Sequence[str],
    output: str | None,
    config: DetectConfig,
    progress: Progress,
    *,
    stdin: BinaryIO | None = None,
    null_separated: bool = False,
    may_fetch: bool = True,
) -> PreparedRun:
    """Find the images of a run and load its detector; see `prepare_segment`."""
    form: BoxFileFormat = config.format or ("ndjson" if output == STDIN else "coco")
    path = None if output == STDIN else path_or_address(output or f"{FOLDER}/{DEFAULT_NAMES[form]}")
    _check(config, form, inputs, path)
    settings = with_yoloe(config.detection)
    examples = read_examples(settings, config, progress)
    found = input_images(inputs, output or FOLDER, progress, stdin=stdin, null_separated=null_separated)
    journal = None if path is None else journal_place(path, config.journal, beside=form != "yolo")
    before = None if journal is None or config.overwrite else journal_contents(journal)
    if before is not None:
        found = named_as_before(found, before)
    ids, listed = PromptTable(), None
    if config.images_json is not None or form == "results":
        if config.images_json is not None:
            listed = read_prompt_file(config.images_json, None, stdin=stdin)
        ids = number_images(listed, found.images)
        for text in ids.notes.lost:
            progress.on_problem(text)
        for text in ids.notes.remarks:
            progress.say(text)
    compute = resolve_compute(config.device, "auto")
    settings = replace(settings, detector=settings.detector or EMBEDDED)
    _, detector = load_detector(settings, examples, compute.device, progress, may_fetch=may_fetch)
    known = [] if before is None else before.known_categories(redo=config.redo)
    known = known if listed is None else Categories([listed], known).listed
    step = Detect(detector, Selection(), renumber_categories(detector.categories, known))
    config = replace(config, format=form, device=compute.type)
    job = Job(
        images=found.images if path is None else stamped(found.images),
        prompts=ids,
        config=config,
        output=path,
        formats=frozenset({form}),
        batch_size=config.batch_size or compute.batch_size,
        categories=step.categories,
        identity=identity(config, detector.config, **detector.identity),
        info={"detector": settings.detector, "detector_sha256": detector.sha256, **made_by()},
        max_errors=errors_allowed(config.max_errors, len(found.images)),
        stream=sys.stdout.buffer if path is None else None,
        journal=journal,
        writers={**BOX_WRITERS, "yolo": partial(YoloWriter, confidence=config.save_conf)},
    )
    outputs = job.outputs()
    return PreparedRun(
        job=job,
        outputs=outputs,
        engine=lambda: LocalEngine(Worker(job, outputs, step), config.workers),
        plan=make_plan(job, outputs, before),
        lost=bool(found.broken),
        describe=lambda: f"boxes of {settings.detector}",
    )


def _check(config: DetectConfig, form: BoxFileFormat, inputs: Sequence[str], path: Path | str | None) -> None:
    """Raise a UsageError for conflicting options."""
    if path is None and form != "ndjson":
        raise UsageError("--output - writes only NDJSON", remedy=f"omit --format {form}, or pass a path")
    check_redo(config, path)
    if config.save_conf and form != "yolo":
        raise UsageError("applies to YOLO labels only", option="save_conf", remedy="add --format yolo")
    if config.images_json is not None and [*inputs, config.images_json].count(STDIN) > 1:
        raise UsageError("stdin can only be read once: only one of INPUT and --images-json may be -")
    if isinstance(path, Path) and form != "yolo" and path.is_dir():
        raise UsageError("is a folder", file=path, remedy="pass a file name, or --format yolo")
