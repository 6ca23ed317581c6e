"""`hqsam segment`: folders of photos and prompts to masks."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import NoInputError, UsageError
from .console import ConsoleReporter, one_line, stderr_console

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


def segment(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Images, folders (searched recursively), globs, or - for paths from stdin.",
        ),
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
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            rich_help_panel=RESULTS,
            help="Folder, or - for NDJSON on stdout.",
        ),
    ] = "hqsam_out",
    formats: Annotated[
        list[Format] | None,
        typer.Option("--format", "-f", rich_help_panel=RESULTS, help="Repeatable; coco and png unless given."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", rich_help_panel=RESULTS, help="Start again instead of continuing.")
    ] = False,
    multimask: Annotated[
        bool,
        typer.Option("--multimask", rich_help_panel=RESULTS, help="Three masks a prompt, each with its IoU."),
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH",
            envvar="HQSAM_MODEL",
            rich_help_panel=SPEED,
            help="lite, a name of hqsam weights list, or an HQ-SAM, SAM or MobileSAM checkpoint.",
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
        int | None,
        typer.Option(metavar="N", min=1, rich_help_panel=SPEED, help="Images encoded at once: 4, or 1 on a CPU."),
    ] = None,
    prompts_per_batch: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, rich_help_panel=SPEED, help="Prompts decoded at once: 32, or 8 on a CPU."),
    ] = None,
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
    formats_wanted = _formats(output, formats)
    _check_prompt_options(inputs, boxes=boxes, points=points, coarse_masks=coarse_masks, frame=frame)
    sources = _sources(inputs, null, output)

    from ..prompts.table import load_prompts

    table = load_prompts(
        boxes=boxes,
        images_json=images_json,
        points=points,
        coarse_masks=coarse_masks,
        frame=frame,
        score_threshold=score_threshold,
        max_boxes=max_boxes,
        stdin=sys.stdin.buffer,
    )
    table.bind([source.file_name for source in sources])
    for text in table.rejected:
        reporter.on_failure(text)
    for text in table.problems:
        reporter.on_problem(text)
    if dry_run:
        _print_plan(sources, table, output, formats_wanted, model)
        return

    from ..inference.device import resolved_device, resolved_dtype
    from ..inference.memory import keep_freed_memory
    from ..inference.segmenter import Segmenter
    from ..models.checkpoints import checkpoint_path, file_hash, load_model
    from ..runs.pipeline import Job, segment_images

    chosen = resolved_device(device)
    precision = resolved_dtype(dtype, chosen)
    if chosen.type == "cpu":
        keep_freed_memory()
    batch_size = batch_size or (1 if chosen.type == "cpu" else 4)
    prompts_per_batch = prompts_per_batch or (8 if chosen.type == "cpu" else 32)
    checkpoint = checkpoint_path(model, None if quiet else reporter.say)
    hint = "; --model vit_l gives the paper's quality" if model == DEFAULT_MODEL else ""
    reporter.say(f"model {model} on {chosen} in {str(precision).removeprefix('torch.')}{hint}")
    hq_sam = load_model(checkpoint)
    if mask_output is not MaskOutput.sam and not hq_sam.has_hq:
        raise UsageError(
            f"{checkpoint} is a plain SAM without the HQ token, so it has no {mask_output.value} masks: "
            "pass --mask-output sam, or an HQ-SAM checkpoint"
        )
    job = Job(
        images=sources,
        prompts=table,
        output=None if output == STDIN else Path(output),
        formats=formats_wanted,
        exif=exif.value,
        max_pixels=max_pixels,
        batch_size=batch_size,
        workers=workers,
        multimask=multimask,
        flags={
            "--model": file_hash(checkpoint)[:16],
            "--mask-output": mask_output.value,
            "--multimask": str(multimask),
            "--boxes": table.digest("boxes"),
            "--images-json": table.digest("images_json"),
            "--points": table.digest("points"),
            "--coarse-masks": table.digest("coarse_masks"),
            "--frame": str(frame),
            "--score-threshold": str(score_threshold),
            "--max-boxes": str(max_boxes),
            "--format": ",".join(sorted(formats_wanted)),
            "--device": chosen.type,
            "--dtype": str(precision).removeprefix("torch."),
            "--batch-size": str(batch_size),
            "--prompts-per-batch": str(prompts_per_batch),
            "--exif": exif.value,
            "--max-pixels": str(max_pixels),
        },
        overwrite=overwrite,
        stream=sys.stdout.buffer if output == STDIN else None,
    )
    segmenter = Segmenter(
        hq_sam.to(chosen),
        mask_output=mask_output.value,
        choice="all" if multimask else "single",
        dtype=precision,
        prompts_per_batch=prompts_per_batch,
    )
    try:
        summary = segment_images(job, segmenter, reporter)
    finally:
        reporter.close()
    _say_summary(reporter, summary, len(sources))
    raise typer.Exit(summary.exit_code or (3 if table.rejected else 0))


def _formats(output: str, formats: list[Format] | None) -> frozenset[str]:
    """What to write; a UsageError where it cannot go to stdout."""
    if output != STDIN:
        return frozenset(f.value for f in formats or (Format.coco, Format.png))
    if any(f is not Format.ndjson for f in formats or ()):
        raise UsageError("--output - writes NDJSON alone: leave --format out, or give a folder")
    return frozenset({Format.ndjson.value})


def _check_prompt_options(
    inputs: list[str], *, boxes: str | None, points: str | None, coarse_masks: str | None, frame: bool
) -> None:
    files = [path for path in (boxes, points, coarse_masks) if path is not None]
    if not files and not frame:
        raise UsageError(
            "nothing says what to segment: pass --boxes FILE, --points FILE or --coarse-masks PATH, "
            "or --frame to take each whole image as the box"
        )
    if frame and files:
        raise UsageError("--frame is a prompt of its own: leave --boxes, --points and --coarse-masks out")
    if [*inputs, *files].count(STDIN) > 1:
        raise UsageError("stdin can be read once: only one of INPUT, --boxes, --points and --coarse-masks may be -")


def _sources(inputs: list[str], null: bool, output: str) -> list[SourceImage]:
    from ..images.find import find_images

    exclude = [] if output == STDIN else [output]
    sources = find_images(inputs, stdin=sys.stdin.buffer, null_separated=null, exclude=exclude)
    if not sources:
        raise NoInputError(f"no image in {', '.join(inputs)}: give images, folders of images, or globs")
    return sources


def _print_plan(
    sources: list[SourceImage], table: PromptTable, output: str, formats: frozenset[str], model: str
) -> None:
    """The plan of a dry run, as a table."""
    from rich.table import Table

    counts = [len(table.for_image(source.file_name).prompts) for source in sources]
    plan = Table(title="hqsam segment, dry run", show_header=False, title_justify="left")
    plan.add_row("images", f"{len(sources)}")
    plan.add_row("prompts", f"{sum(counts)}, in {sum(map(bool, counts))} images")
    plan.add_row("model", model)
    plan.add_row("output", "stdout" if output == STDIN else one_line(output))
    plan.add_row("formats", ", ".join(sorted(formats)))
    stderr_console().print(plan)


def _say_summary(reporter: ConsoleReporter, summary: Summary, images: int) -> None:
    rate = summary.done / summary.seconds if summary.seconds else 0.0
    parts = [f"{summary.done} of {images} images", f"{summary.masks} masks"]
    parts += [f"{summary.already_done} done before"] if summary.already_done else []
    parts += [f"{len(summary.failed)} failed"] if summary.failed else []
    parts += [f"{summary.seconds:.1f} s", f"{rate:.2f} images/s"]
    reporter.say(("interrupted: " if summary.interrupted else "") + ", ".join(parts))
    if summary.interrupted:
        reporter.say("the same command continues")
    for path in summary.files:
        reporter.say(f"wrote {path}", "green")
