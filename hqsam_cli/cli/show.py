"""`hqsam show`: pictures of masks, of images or of a finished run."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from ..configs import DEFAULT_MAX_PIXELS
from ..errors import HqsamError, UsageError
from .console import ConsoleReporter
from .detector_options import ClassesOption, ConfOption, DetectorOption
from .options import (
    DEFAULT_MODEL,
    RESULTS,
    STDIN,
    DeviceOption,
    DtypeOption,
    ExifOption,
    InputsArgument,
    MaskOutputOption,
    MaxPixelsOption,
    ModelOption,
    QuietOption,
    VerboseOption,
    as_place,
)
from .prompt_options import BoxesOption, BoxFormatOption, FrameOption, MaxBoxesOption, ScoreThresholdOption
from .segment import segment

EPILOG = """
[bold]Examples[/bold]

hqsam show photo.jpg

hqsam show photo.jpg --boxes dets.json --compare --output compared.png

hqsam show hqsam_out --output pictures
"""


def show(
    inputs: InputsArgument,
    boxes: BoxesOption = None,
    box_format: BoxFormatOption = None,
    frame: FrameOption = False,
    score_threshold: ScoreThresholdOption = None,
    max_boxes: MaxBoxesOption = None,
    detector: DetectorOption = None,
    conf: ConfOption = None,
    classes: ClassesOption = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="PATH", rich_help_panel=RESULTS, help="Folder, or a file of one image."),
    ] = Path("hqsam_shown"),
    compare: Annotated[
        bool,
        typer.Option("--compare", rich_help_panel=RESULTS, help="SAM, HQ-SAM and their difference, side by side."),
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", rich_help_panel=RESULTS, help="Of a finished run: where its photos are, if they moved."
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    mask_output: MaskOutputOption = "sum",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    exif: ExifOption = "apply",
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Draw masks over images: contours, boxes, labels and scores, in a color an instance.

    INPUT is images, which are segmented as hqsam segment does, or the output folder of a finished run.
    """
    reporter = ConsoleReporter(quiet=quiet, verbose=verbose)
    run = finished_run(inputs)
    if run is not None:
        if boxes or frame or detector:
            raise UsageError(f"{run} is a finished run, whose masks are drawn", remedy="leave out what to segment")
        all_drawn = draw_run(run, images, output, compare=compare, max_pixels=max_pixels, reporter=reporter)
        raise typer.Exit(0 if all_drawn else 3)
    with TemporaryDirectory(prefix="hqsam-") as temporary:
        folder, code = Path(temporary), 0
        try:
            segment(
                inputs,
                boxes=boxes,
                box_format=box_format,
                frame=frame,
                score_threshold=score_threshold,
                max_boxes=max_boxes,
                detector=detector,
                conf=conf,
                classes=classes,
                output=temporary,
                formats=["coco"],
                compare_sam=compare,
                model=model,
                mask_output=mask_output,
                device=device,
                dtype=dtype,
                exif=exif,
                max_pixels=max_pixels,
                quiet=not verbose,
                verbose=verbose,
            )
        except typer.Exit as ended:
            code = ended.exit_code
        if code in (0, 3):
            all_drawn = draw_run(folder, None, output, compare=compare, max_pixels=max_pixels, reporter=reporter)
            code = code if all_drawn else 3
    raise typer.Exit(code)


def finished_run(inputs: list[str]) -> Path | str | None:
    """The output folder of a run, or its address, where that is what is given."""
    from ..batch.object_journal import has_journal, journal_of
    from ..formats.coco import INSTANCES
    from ..io.address_folder import AddressFolder
    from ..io.images import READ_SUFFIXES

    folder = as_place(inputs[0])
    # A server of http lists no journal, and an image is no folder.
    name = inputs[0].lower()
    if len(inputs) > 1 or name == STDIN or name.startswith("http") or name.endswith(READ_SUFFIXES):
        return None
    if isinstance(folder, str):
        is_run = INSTANCES in AddressFolder(folder).names(INSTANCES)
    else:
        is_run = (folder / INSTANCES).is_file()
    return folder if is_run or has_journal(journal_of(folder)) else None


def draw_run(
    run: Path | str, images: Path | None, output: Path, *, compare: bool, max_pixels: int, reporter: ConsoleReporter
) -> bool:
    """Write a picture of each image of a run, and say where; whether there is one of each.

    Raises:
        UsageError: there are several for one file, or nothing to compare.
        HqsamError: no picture could be drawn, or one cannot be written.
    """
    from ..report.pictures import PICTURE_SUFFIXES, draw_image
    from ..report.results import read_results

    results = read_results(run, images)
    shown = [image for image in results.images if image.size is not None]
    is_file = output.suffix.lower() in PICTURE_SUFFIXES
    if is_file and len(shown) > 1:
        raise UsageError(f"one file for {len(shown)} images", option="output", remedy="give a folder")
    if compare and not any("sam" in annotation for image in shown for annotation in image.annotations):
        raise UsageError("has no masks of SAM to compare", file=run, remedy="run hqsam segment with `compare_sam`")
    drawn = 0
    reporter.on_start(len(shown), 0)
    try:
        for image in shown:
            name = image.file_name if len(shown) > 1 else os.path.basename(image.file_name)
            path = output if is_file else output / f"{name}.jpg"
            try:
                draw_image(image, path, results, compare=compare, max_pixels=max_pixels)
                drawn += 1
            except HqsamError as error:
                reporter.on_failure(str(error))
            reporter.advance()
    finally:
        reporter.close()
    if not drawn:
        raise HqsamError("no picture could be drawn", file=run, remedy="see above")
    reporter.say(f"wrote {output}", "green")
    return drawn == len(shown)
