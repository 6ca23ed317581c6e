"""`hqsam segment`: folders of photos and prompts to masks."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import NoInputError, UsageError
from .console import ConsoleReporter, stderr_console

if TYPE_CHECKING:
    from ..images.find import SourceImage
    from ..prompts.table import PromptTable
    from ..runs.pipeline import Summary

DEFAULT_MODEL = "lite"
DEFAULT_MAX_PIXELS = 200_000_000
STDIN = "-"


class MaskOutput(str, Enum):
    """Which logits become the mask."""

    sum = "sum"
    hq = "hq"
    sam = "sam"


class Format(str, Enum):
    """What is written."""

    coco = "coco"
    png = "png"
    idmap = "idmap"
    ndjson = "ndjson"


class Exif(str, Enum):
    """Whether a photo is turned as its EXIF orientation says."""

    apply = "apply"
    ignore = "ignore"


PROMPTS, RESULTS, SPEED = "What to segment", "Results", "Model and speed"

EPILOG = """
[bold]Examples[/bold]

hqsam segment ./imgs --boxes dets.json

hqsam segment ./imgs --boxes dets.json --model vit_l --format coco --output masks

find . -name '*.jpg' -print0 | hqsam segment -0 - --boxes dets.json

detector ./imgs | hqsam segment ./imgs --boxes - --output - | jq -r '.annotations[].score'
"""


@dataclass(frozen=True, slots=True)
class _Destination:
    """Where results go: a folder with formats, or NDJSON on stdout."""

    folder: str | None
    formats: frozenset[str]


def segment(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Images, folders (searched recursively), globs, or - for paths from stdin."),
    ],
    boxes: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=PROMPTS,
            help="Boxes: COCO instances JSON, COCO results list, or NDJSON; - reads stdin.",
        ),
    ] = None,
    images_json: Annotated[
        str | None,
        typer.Option(metavar="FILE", rich_help_panel=PROMPTS, help="COCO JSON with the images of a results list."),
    ] = None,
    points: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=PROMPTS,
            help="Point prompts: annotations with points [[x, y, 1 or 0], …], joined to the boxes by annotation id.",
        ),
    ] = None,
    coarse_masks: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            rich_help_panel=PROMPTS,
            help="Masks to refine: a JSON with segmentations, or a folder of PNGs; joined by annotation id.",
        ),
    ] = None,
    frame: Annotated[
        bool, typer.Option("--frame", rich_help_panel=PROMPTS, help="The whole image is the box.")
    ] = False,
    score_threshold: Annotated[
        float | None,
        typer.Option(metavar="S", min=0, max=1, rich_help_panel=PROMPTS, help="Drop boxes that score less."),
    ] = None,
    max_boxes: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, rich_help_panel=PROMPTS, help="Keep the N best boxes of an image."),
    ] = None,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="DIR", rich_help_panel=RESULTS, help="Folder, or - for NDJSON on stdout."),
    ] = "hqsam_out",
    formats: Annotated[
        list[Format] | None,
        typer.Option("--format", "-f", rich_help_panel=RESULTS, help="Repeatable; coco and png unless given."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", rich_help_panel=RESULTS, help="Start again instead of continuing.")
    ] = False,
    multimask: Annotated[
        bool, typer.Option("--multimask", rich_help_panel=RESULTS, help="Three masks a prompt, each with its IoU.")
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH",
            envvar="HQSAM_MODEL",
            rich_help_panel=SPEED,
            help="lite, vit_tiny, vit_b, vit_l, vit_h, or an HQ-SAM, SAM or MobileSAM checkpoint.",
        ),
    ] = DEFAULT_MODEL,
    mask_output: Annotated[
        MaskOutput,
        typer.Option(rich_help_panel=SPEED, help="SAM plus HQ logits, the HQ logits alone, or plain SAM."),
    ] = MaskOutput.sum,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda[:N]|mps", rich_help_panel=SPEED, help="Where to compute.")
    ] = "auto",
    dtype: Annotated[
        str,
        typer.Option(
            metavar="auto|float32|bfloat16|float16",
            rich_help_panel=SPEED,
            help="Precision; auto is bfloat16 on GPUs that have it.",
        ),
    ] = "auto",
    batch_size: Annotated[
        int, typer.Option(metavar="N", min=1, rich_help_panel=SPEED, help="Images encoded at once.")
    ] = 4,
    prompts_per_batch: Annotated[
        int, typer.Option(metavar="N", min=1, rich_help_panel=SPEED, help="Prompts decoded at once.")
    ] = 32,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, rich_help_panel=SPEED, help="Threads that decode and write.")
    ] = 4,
    exif: Annotated[
        Exif, typer.Option(rich_help_panel=PROMPTS, help="Turn photos as EXIF says before boxes are read.")
    ] = Exif.apply,
    max_pixels: Annotated[
        int, typer.Option(metavar="N", min=1, rich_help_panel=PROMPTS, help="Refuse larger images.")
    ] = DEFAULT_MAX_PIXELS,
    null: Annotated[bool, typer.Option("--null", "-0", help="Paths on stdin are NUL-separated.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line for every image.")] = False,
) -> None:
    """Turn images and boxes, points or coarse masks into instance masks.

    Results go to ./hqsam_out: instances.json (COCO) and masks/<path of the image>/<annotation id>.png.
    The same command again continues where it stopped.
    """
    reporter = ConsoleReporter(quiet=quiet, verbose=verbose)
    destination = _destination(output, formats)
    _check_prompt_options(inputs, boxes, points, coarse_masks, frame)
    table = _prompt_table(boxes, images_json, points, coarse_masks, frame, score_threshold, max_boxes)
    images = _images(inputs, null, destination)
    for problem in table.problems:
        reporter.on_problem(problem)
    if dry_run:
        _print_plan(images, table, destination, model)
        return

    from ..inference.device import resolved_device, resolved_dtype
    from ..inference.segmenter import Segmenter
    from ..models.checkpoints import load_model, model_hash

    chosen = resolved_device(device)
    precision = resolved_dtype(dtype, chosen)
    hq_sam = load_model(model)
    if mask_output is not MaskOutput.sam and not hq_sam.has_hq:
        raise UsageError(
            f"{model} is a plain SAM without the HQ token, so it has no {mask_output.value} masks: "
            "pass --mask-output sam, or an HQ-SAM checkpoint"
        )
    note = "; --model vit_l gives the paper's quality" if model == DEFAULT_MODEL else ""
    reporter.say(f"model {model} on {chosen} in {str(precision).removeprefix('torch.')}{note}")

    from ..runs.pipeline import Job, segment_images

    flags = {
        "--model": model_hash(model),
        "--mask-output": mask_output.value,
        "--multimask": str(multimask),
        "--boxes": _content_hash(boxes),
        "--images-json": _content_hash(images_json),
        "--points": _content_hash(points),
        "--coarse-masks": _content_hash(coarse_masks),
        "--frame": str(frame),
        "--score-threshold": str(score_threshold),
        "--max-boxes": str(max_boxes),
        "--format": ",".join(sorted(destination.formats)),
        "--dtype": str(precision),
        "--batch-size": str(batch_size),
        "--prompts-per-batch": str(prompts_per_batch),
        "--exif": exif.value,
        "--max-pixels": str(max_pixels),
    }
    job = Job(
        images=images,
        prompts=table,
        output=destination.folder,
        formats=destination.formats,
        exif=exif.value,
        max_pixels=max_pixels,
        batch_size=batch_size,
        workers=workers,
        flags=flags,
        overwrite=overwrite,
    )
    segmenter = Segmenter(
        hq_sam.to(chosen).eval(),
        mask_output=mask_output.value,
        choice="all" if multimask else "single",
        dtype=precision,
        prompts_per_batch=prompts_per_batch,
    )
    summary = segment_images(job, segmenter, reporter)
    reporter.close()
    _say_summary(reporter, summary)
    raise typer.Exit(summary.exit_code)
