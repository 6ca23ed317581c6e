"""`hqsam show`: masks drawn over images."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..configs import STDIN, SegmentConfig
from ..configs.option import changed
from ..configs.run import RESULTS
from ..errors import HqsamError, UsageError
from ..io.addresses import path_or_address
from .from_config import with_options
from .options import InputsArgument, QuietOption, VerboseOption
from .reporter import ConsoleReporter

if TYPE_CHECKING:
    from ..formats.image_writer import ImageResult

EPILOG = """
[bold]Examples[/bold]

hqsam show photo.jpg

hqsam show photo.jpg --boxes dets.json --compare --output compared.png

hqsam show hqsam_out --output pictures

hqsam show instances.json --images ./imgs --output pictures
"""
PROMPTS = ("boxes", "box", "point", "box_format", "salient", "detector", "score_threshold", "max_det", "classes")
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
            help="Folder of the images of a results file, or of a run, if they were moved.",
        ),
    ] = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Draw masks over images: outlines, boxes, labels and scores, with a color per instance.

    INPUT is images, which are segmented first; the output folder of a run; or a results file (COCO, NDJSON) with
    --images FOLDER.
    """
    reporter = ConsoleReporter(quiet=quiet, verbose=verbose)
    config = replace(config, compare_sam=compare)
    run = _results_of(inputs)
    try:
        if run is None:
            drawn, code = _draw_images(inputs, output, config, reporter)
        elif changed(config.prompts) or config.detection.detector or config.detection.like:
            raise UsageError(f"the masks in {run} are drawn", remedy="omit the prompt options, or pass images")
        else:
            drawn, code = _draw_run(run, images, output, config, reporter)
    finally:
        reporter.close()
    if drawn:
        reporter.say(f"wrote {output}", "green")
    raise typer.Exit(code)


def _draw_images(inputs: list[str], output: Path, config: SegmentConfig, reporter: ConsoleReporter) -> tuple[int, int]:
    """Segment images, and write a picture of each; returns the number of pictures and the exit code."""
    from ..batch.segment import prepare_segment
    from ..formats.picture_writer import draw, write_picture
    from ..io.atomic import writing
    from ..report.pictures import compared

    def draw_result(result: ImageResult) -> None:
        assert result.pixels is not None
        masks = [instance.mask.full() for instance in result.instances]
        if config.compare_sam:
            picture = compared(result.pixels, masks, result.annotations)
        else:
            picture = draw(result.pixels, result.annotations, masks, names)
        with writing(paths[result.file_name]):
            write_picture(paths[result.file_name], picture)

    run = prepare_segment(inputs, STDIN, config, reporter, stdin=sys.stdin.buffer, on_result=draw_result)
    names = {category["id"]: str(category["name"]) for category in run.job.categories}
    paths = _picture_paths(output, {image.file_name: image.path for image in run.job.images})
    summary = run.run(reporter)
    if not summary.done and not summary.interrupted:
        raise HqsamError("no image could be drawn", remedy="see above")
    return summary.done, summary.exit_code


def _picture_paths(output: Path, images: Mapping[str, str | None]) -> dict[str, Path]:
    """The path of the picture of each image, within the output; images that differ only in their suffix keep it.

    Args:
        images: their paths, by name.

    Raises:
        UsageError: several would share one path, or one would replace its image.
    """
    from ..io.names import relative_name
    from ..report.pictures import PICTURE_SUFFIXES

    if output.suffix.lower() in PICTURE_SUFFIXES:
        if len(images) > 1:
            raise UsageError(f"one file for {len(images)} images", option="output", remedy="pass a folder")
        paths = dict.fromkeys(images, output)
    else:
        own = {name: relative_name(name) if len(images) > 1 else os.path.basename(name) for name in images}
        stems = {name: os.path.splitext(place)[0] for name, place in own.items()}
        counts = Counter(stems.values())
        paths = {name: output / f"{own[name] if counts[stem] > 1 else stem}.jpg" for name, stem in stems.items()}
    for name, path in paths.items():
        if path.exists() and os.path.realpath(path) == os.path.realpath(images[name] or ""):
            raise UsageError("would replace this image", option="output", value=path, remedy="pass another folder")
    return paths


def _results_of(inputs: list[str]) -> Path | str | None:
    """The results file, or the output folder of a run, or its URL, if the input is one."""
    from ..batch.object_journal import has_journal, journal_of
    from ..formats.coco import INSTANCES
    from ..io.address_folder import AddressFolder
    from ..io.images import READ_SUFFIXES
    from ..results.stream import RESULTS_SUFFIXES

    folder = path_or_address(inputs[0])
    if len(inputs) == 1 and isinstance(folder, Path) and folder.name.lower().endswith(RESULTS_SUFFIXES):
        return folder
    # HTTP servers do not list journals, and an image is not a folder.
    name = inputs[0].lower()
    if len(inputs) > 1 or name == STDIN or name.startswith("http") or name.endswith(READ_SUFFIXES):
        return None
    at_address = isinstance(folder, str) and INSTANCES in AddressFolder(folder).names(INSTANCES)
    is_run = at_address or (isinstance(folder, Path) and (folder / INSTANCES).is_file())
    return folder if is_run or has_journal(journal_of(folder)) else None


def _draw_run(
    run: Path | str, images: Path | None, output: Path, config: SegmentConfig, reporter: ConsoleReporter
) -> tuple[int, int]:
    """Write a picture of each image of a run; returns the number of pictures and the exit code.

    Raises:
        UsageError: several images for one file, no paths of images, or no SAM masks to compare.
        HqsamError: there are no images, none could be drawn, or a picture cannot be written.
    """
    from ..report.photos import read_photos
    from ..report.pictures import draw_image
    from ..results.stream import open_results

    results = open_results(run)
    names = {category["id"]: category["name"] for category in results.categories}
    photos = [photo for photo in read_photos(results, images) if photo.record.size is not None]
    for text in (text for problems in results.problems for text in problems):
        reporter.on_problem(text)
    if not photos:
        remedy = "" if results.journal is None else f"see hqsam status {run}"
        raise HqsamError("contains no images that were segmented", file=run, remedy=remedy)
    if all(photo.path is None for photo in photos):
        raise UsageError("contains no paths of images", file=run, remedy="pass their folder as `images`")
    paths = _picture_paths(output, {photo.record.file_name: photo.path for photo in photos})
    if config.compare_sam and not any(
        "sam" in annotation for photo in photos for annotation in photo.record.annotations
    ):
        raise UsageError("contains no SAM masks to compare", file=run, remedy="run hqsam segment with `compare_sam`")
    drawn = 0
    reporter.on_start(len(photos), 0)
    for photo in photos:
        try:
            draw_image(
                photo, paths[photo.record.file_name], names, compare=config.compare_sam, max_pixels=config.max_pixels
            )
            drawn += 1
        except HqsamError as error:
            reporter.on_failure(str(error))
        reporter.advance()
    if not drawn:
        raise HqsamError("no image could be drawn", file=run, remedy="see above")
    return drawn, 0 if drawn == len(photos) else 3
