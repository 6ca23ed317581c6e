"""`hqsam show`: masks drawn over images."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..configs import STDIN, SegmentConfig
from ..configs.run import RESULTS
from ..errors import HqsamError, UsageError
from ..io.places import as_place
from .console import ConsoleReporter
from .from_config import with_options
from .options import InputsArgument, QuietOption, VerboseOption

if TYPE_CHECKING:
    from ..formats.run_records import ImageResult

EPILOG = """
[bold]Examples[/bold]

hqsam show photo.jpg

hqsam show photo.jpg --boxes dets.json --compare --output compared.png

hqsam show hqsam_out --output pictures
"""
PROMPTS = ("boxes", "box_format", "frame", "detector", "score_threshold", "max_det", "classes")
OPTIONS = (*PROMPTS, "model", "mask_output", "device", "dtype", "exif", "max_pixels")


@partial(with_options, only=OPTIONS)
def show(
    inputs: InputsArgument,
    config: SegmentConfig,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            rich_help_panel=RESULTS,
            help="Output folder, or a file for a single image.",
        ),
    ] = Path("hqsam_shown"),
    compare: Annotated[
        bool,
        typer.Option("--compare", rich_help_panel=RESULTS, help="Show SAM, HQ-SAM and their difference side by side."),
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=RESULTS,
            help="Folder of the images of a finished run, if they were moved.",
        ),
    ] = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Draw masks over images: outlines, boxes, labels and scores, with a color per instance.

    INPUT is images, which are segmented first, or the output folder of a finished run.
    """
    reporter = ConsoleReporter(quiet=quiet, verbose=verbose)
    run = _finished_run(inputs)
    if run is not None:
        if config.prompts.boxes or config.prompts.frame or config.detection.detector:
            raise UsageError(f"{run} is a finished run, so its own masks are drawn", remedy="omit the prompt options")
        all_drawn = _draw_run(run, images, output, compare=compare, max_pixels=config.max_pixels, reporter=reporter)
        raise typer.Exit(0 if all_drawn else 3)
    raise typer.Exit(_draw_images(inputs, output, replace(config, compare_sam=compare), reporter))


def _draw_images(inputs: list[str], output: Path, config: SegmentConfig, reporter: ConsoleReporter) -> int:
    """Segment images, and write a picture of each; returns the exit code."""
    from ..batch.segment import prepare_segment
    from ..formats.picture_writer import draw, write_picture
    from ..report.pictures import compared

    def draw_result(result: ImageResult) -> None:
        assert result.pixels is not None
        masks = [instance.mask.full() for instance in result.instances]
        if config.compare_sam:
            picture = compared(result.pixels, masks, result.annotations)
        else:
            picture = draw(result.pixels, result.annotations, masks, names)
        path = _picture_path(output, result.file_name, len(run.job.images))
        try:
            write_picture(path, picture)
        except OSError as error:
            reason = f"cannot be written ({error.strerror})"
            raise HqsamError(reason, file=path, remedy="choose another `output`") from None

    run = prepare_segment(inputs, STDIN, config, reporter, stdin=sys.stdin.buffer, on_result=draw_result)
    names: dict[Any, str] = {category["id"]: str(category["name"]) for category in run.job.categories}
    _picture_path(output, "", len(run.job.images))
    try:
        summary = run.run(reporter)
    finally:
        reporter.close()
    if summary.done:
        reporter.say(f"wrote {output}", "green")
    elif not summary.interrupted:
        raise HqsamError("no image could be drawn", remedy="see above")
    return summary.exit_code


def _picture_path(output: Path, name: str, count: int) -> Path:
    """The path of the picture of one of `count` images; a UsageError if several would share one file."""
    from ..report.pictures import PICTURE_SUFFIXES

    if output.suffix.lower() in PICTURE_SUFFIXES:
        if count > 1:
            raise UsageError(f"one file for {count} images", option="output", remedy="pass a folder")
        return output
    return output / f"{name if count > 1 else os.path.basename(name)}.jpg"


def _finished_run(inputs: list[str]) -> Path | str | None:
    """The output folder of a run, or its URL, if the input is one."""
    from ..batch.object_journal import has_journal, journal_of
    from ..formats.coco import INSTANCES
    from ..io.address_folder import AddressFolder
    from ..io.images import READ_SUFFIXES

    folder = as_place(inputs[0])
    # HTTP servers do not list journals, and an image is not a folder.
    name = inputs[0].lower()
    if len(inputs) > 1 or name == STDIN or name.startswith("http") or name.endswith(READ_SUFFIXES):
        return None
    if isinstance(folder, str):
        is_run = INSTANCES in AddressFolder(folder).names(INSTANCES)
    else:
        is_run = (folder / INSTANCES).is_file()
    return folder if is_run or has_journal(journal_of(folder)) else None


def _draw_run(
    run: Path | str, images: Path | None, output: Path, *, compare: bool, max_pixels: int, reporter: ConsoleReporter
) -> bool:
    """Write a picture of each image of a run; returns whether all were drawn.

    Raises:
        UsageError: several images for one file, or no SAM masks to compare.
        HqsamError: no image could be drawn, or a picture cannot be written.
    """
    from ..report.pictures import draw_image
    from ..report.results import read_results

    results = read_results(run, images)
    shown = [image for image in results.images if image.size is not None]
    _picture_path(output, "", len(shown))
    if compare and not any("sam" in annotation for image in shown for annotation in image.annotations):
        raise UsageError("contains no SAM masks to compare", file=run, remedy="run hqsam segment with `compare_sam`")
    drawn = 0
    reporter.on_start(len(shown), 0)
    try:
        for image in shown:
            path = _picture_path(output, image.file_name, len(shown))
            try:
                draw_image(image, path, results, compare=compare, max_pixels=max_pixels)
                drawn += 1
            except HqsamError as error:
                reporter.on_failure(str(error))
            reporter.advance()
    finally:
        reporter.close()
    if not drawn:
        raise HqsamError("no image could be drawn", file=run, remedy="see above")
    reporter.say(f"wrote {output}", "green")
    return drawn == len(shown)
