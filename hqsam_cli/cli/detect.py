"""`hqsam detect`: folders of photos to boxes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import typer

from ..configs import DEFAULT_MAX_PIXELS, MAX_DET, DetectorConfig
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
    class_names,
    load_detector,
)
from .options import (
    SPEED,
    DeviceOption,
    ExifOption,
    InputsArgument,
    MaxPixelsOption,
    NullOption,
    QuietOption,
    VerboseOption,
    WorkersOption,
    input_images,
    resolve_compute,
    results_stream,
)

STDOUT, RESULTS = "-", "Results"
Format = Literal["coco", "results", "yolo", "ndjson"]


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
        str,
        typer.Option(
            "--output", "-o", metavar="PATH", rich_help_panel=RESULTS, help="File, folder of labels for yolo, or -."
        ),
    ] = "dets.json",
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
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Find the objects of images: boxes with class and score.

    hqsam segment --boxes reads what this writes. Both in one go, with each image decoded once:
    hqsam segment --detector.
    """
    reporter = ConsoleReporter(quiet=quiet, verbose=verbose, results="boxes")
    written: Format = form or ("ndjson" if output == STDOUT else "coco")
    if output == STDOUT and written != "ndjson":
        raise UsageError(f"--output - writes NDJSON alone: leave --format {written} out, or give a path")
    sources = input_images(inputs, null, output)

    compute = resolve_compute(device, "auto")
    settings = DetectorConfig(conf=conf, iou=iou, classes=class_names(classes), max_det=max_det, imgsz=imgsz, half=half)
    found = load_detector(detector or EMBEDDED, settings, compute.device, reporter, trusted=trust_detector)

    from ..batch.pipeline import Job, run_images
    from ..batch.steps import Detect
    from ..prompts.table import PromptTable

    table = PromptTable()
    with _lines(output, written) as lines:
        job = Job(
            images=sources,
            prompts=table,
            output=None,
            formats=frozenset({"ndjson"}),
            exif=exif,
            max_pixels=max_pixels,
            batch_size=batch_size or compute.images_at_once,
            workers=workers,
            identity={},
            stream=lines,
        )
        try:
            summary = run_images(job, Detect(found, table), reporter)
        finally:
            reporter.close()
        reporter.on_end(summary, len(sources))
        if output != STDOUT:
            if summary.interrupted:
                reporter.say(f"{output} is not written", "yellow")
            else:
                _write(Path(output), written, found.categories, lines)
                reporter.say(f"wrote {output}", "green")
    raise typer.Exit(summary.exit_code)


@contextmanager
def _lines(output: str, written: Format) -> Iterator[BinaryIO]:
    """Where the lines of images go: stdout, or a nameless file on the disk of the output, made before any work."""
    if output == STDOUT:
        yield results_stream()
        return

    from ..batch.journal import cannot_write

    path = Path(output)
    folder = path if written == "yolo" else path.parent
    if written != "yolo" and path.is_dir():
        raise UsageError(f"{output}: a folder; give the name of a file, or pass --format yolo")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lines = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open as long as the run
    except OSError as error:
        raise cannot_write(folder, error) from None
    with lines:
        yield lines


def _write(path: Path, form: Format, categories: list[dict[str, Any]], lines: BinaryIO) -> None:
    """Write the results of all images."""
    from ..batch.journal import cannot_write
    from ..formats.coco import write_coco, write_results
    from ..formats.ndjson import write_ndjson
    from ..formats.yolo import write_yolo

    def records() -> Iterator[dict[str, Any]]:
        lines.seek(0)
        return map(json.loads, lines)

    try:
        if form == "coco":
            write_coco(path, records, categories)
        elif form == "results":
            write_results(path, records())
        elif form == "yolo":
            write_yolo(path, records(), categories)
        else:
            write_ndjson(path, records())
    except OSError as error:
        raise cannot_write(path, error) from None
