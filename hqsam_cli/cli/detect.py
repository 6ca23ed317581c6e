"""`hqsam detect`: folders of photos to boxes."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..compute import resolve_compute
from ..configs import DEFAULT_MAX_PIXELS, MAX_DET, DetectConfig, DetectorConfig, identity
from ..detection.files import EMBEDDED
from ..errors import UsageError
from .console import ConsoleReporter
from .detector_options import (
    ClassesOption,
    ConfOption,
    DetectorOption,
    HalfOption,
    ImgszOption,
    IouOption,
    MaxDetOption,
    TrustOption,
    load_detector,
)
from .options import (
    RESULTS,
    SPEED,
    STDIN,
    DeviceOption,
    DryRunOption,
    ExifOption,
    InputsArgument,
    MaxPixelsOption,
    NullOption,
    OverwriteEditedOption,
    OverwriteOption,
    PruneOption,
    QuietOption,
    VerboseOption,
    WorkersOption,
    as_place,
    input_images,
    made_by,
    print_plan,
    results_stream,
)
from .run_options import (
    FailFastOption,
    JournalOption,
    MaxErrorsOption,
    RetryFailedOption,
    check_output,
    errors_allowed,
    journal_place,
    run_and_tell,
)

Format = Literal["coco", "results", "yolo", "ndjson"]
FOLDER = "hqsam_detect"
DEFAULT_NAMES: dict[Format, str] = {
    "coco": "dets.json",
    "results": "results.json",
    "yolo": "labels",
    "ndjson": "dets.ndjson",
}

EPILOG = """
[bold]Examples[/bold]

hqsam detect ./imgs --output dets.json

hqsam detect ./imgs --detector yolo11n.pt --classes person,dog --conf 0.4 --output dets.json

hqsam detect ./imgs --format yolo --output labels

hqsam detect ./imgs --output - | hqsam segment ./imgs --boxes -
"""


def detect(
    inputs: InputsArgument,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            rich_help_panel=RESULTS,
            help="File, folder of labels for yolo, the address of either (s3://…), or -. Unless given, in "
            "./hqsam_detect.",
        ),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            rich_help_panel=RESULTS,
            help="COCO JSON with images and categories, a COCO results list, YOLO label files, or a line an image. "
            "coco unless given; ndjson on stdout.",
        ),
    ] = None,
    images_json: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", rich_help_panel=RESULTS, help="COCO JSON whose image ids the results take, by file name."
        ),
    ] = None,
    save_conf: Annotated[
        bool, typer.Option("--save-conf", rich_help_panel=RESULTS, help="A sixth column in YOLO labels: the score.")
    ] = False,
    overwrite: OverwriteOption = False,
    overwrite_edited: OverwriteEditedOption = False,
    prune: PruneOption = False,
    detector: DetectorOption = None,
    conf: ConfOption = None,
    iou: IouOption = None,
    classes: ClassesOption = None,
    max_det: MaxDetOption = MAX_DET,
    imgsz: ImgszOption = None,
    half: HalfOption = False,
    trust_detector: TrustOption = False,
    device: DeviceOption = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, rich_help_panel=SPEED, help="Images detected at once: 4, or 1 on a CPU."),
    ] = None,
    workers: WorkersOption = 4,
    exif: ExifOption = "apply",
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    null: NullOption = False,
    retry_failed: RetryFailedOption = False,
    max_errors: MaxErrorsOption = None,
    fail_fast: FailFastOption = False,
    journal: JournalOption = None,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Find the objects of images: boxes with class and score.

    hqsam segment --boxes reads what this writes. Both in one go, with each image decoded once:
    hqsam segment --detector. The same command again continues where it stopped.
    """
    reporter = ConsoleReporter(quiet=quiet, verbose=verbose, results="boxes")
    written: Format = form or ("ndjson" if output == STDIN else "coco")
    if output == STDIN and written != "ndjson":
        raise UsageError("--output - writes NDJSON alone", remedy=f"leave --format {written} out, or give a path")
    if save_conf and written != "yolo":
        raise UsageError("a column of YOLO labels", option="save_conf", remedy="pass --format yolo too")
    if images_json is not None and [*inputs, images_json].count(STDIN) > 1:
        raise UsageError("stdin can be read once: only one of INPUT and --images-json may be -")
    path: Path | str | None = None
    if output != STDIN:
        path = as_place(output or f"{FOLDER}/{DEFAULT_NAMES[written]}")
    if isinstance(path, Path) and written != "yolo" and path.is_dir():
        raise UsageError("a folder", file=path, remedy="give the name of a file, or pass --format yolo")
    meant = input_images(inputs, null, output or FOLDER, reporter)
    sources = meant.images

    from ..prompts.read import read_prompt_file
    from ..prompts.select import Selection
    from ..prompts.table import PromptTable, number_images

    ids, listed = PromptTable(), None
    if images_json is not None or written == "results":
        if images_json is not None:
            listed = read_prompt_file(images_json, None, stdin=sys.stdin.buffer)
        ids = number_images(listed, sources)
        for text in [*ids.notes.lost, *ids.notes.remarks]:
            reporter.on_problem(text)

    compute = resolve_compute(device, "auto")
    settings = DetectorConfig(conf=conf, iou=iou, classes=tuple(classes or ()), max_det=max_det, imgsz=imgsz, half=half)
    _, found = load_detector(
        detector or EMBEDDED, settings, compute.device, reporter, trusted=trust_detector, may_fetch=not dry_run
    )

    from ..batch.fingerprint import stamped
    from ..batch.job import Job
    from ..batch.local import LocalEngine
    from ..batch.pipeline import make_worker
    from ..batch.plan import plan_of
    from ..batch.steps import Detect
    from ..formats import BOX_WRITERS
    from ..formats.yolo import YoloWriter

    config = DetectConfig(
        format=written, save_conf=save_conf, device=compute.device.type, exif=exif, max_pixels=max_pixels
    )
    step = Detect(found, Selection(), None if listed is None else listed.categories)
    job = Job(
        images=sources if path is None else stamped(sources),
        prompts=ids,
        output=path,
        formats=frozenset({written}),
        exif=exif,
        max_pixels=max_pixels,
        batch_size=batch_size or compute.images_at_once,
        categories=step.categories,
        identity=identity(config, found.config, detector=found.identity),
        info={"detector": detector or EMBEDDED, "detector_sha256": found.sha256, **made_by()},
        overwrite=overwrite,
        overwrite_edited=overwrite_edited,
        prune=prune,
        retry_failed=retry_failed,
        max_errors=errors_allowed(max_errors, fail_fast, len(sources)),
        stream=results_stream() if path is None else None,
        journal=None if path is None else journal_place(path, journal, beside=written != "yolo"),
        writers={**BOX_WRITERS, "yolo": partial(YoloWriter, confidence=save_conf)},
    )
    plan = plan_of(job)
    if dry_run:
        print_plan(job, plan, detector=detector or EMBEDDED)
    plan.check_removal(prune=prune)
    if dry_run:
        raise typer.Exit(3 if meant.broken else 0)
    if isinstance(job.journal, str):
        check_output(job.journal)
    summary = run_and_tell(job, LocalEngine(make_worker(job, step), workers), reporter)
    raise typer.Exit(summary.exit_code or (3 if meant.broken else 0))
