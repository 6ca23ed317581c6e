"""Options that several commands share, and what follows from them."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from ..configs import Exif, MaskOutput
from ..errors import NoInputError, UsageError
from ..io.suffixes import HEIF_SUFFIXES, VIDEO_SUFFIXES
from ..weights.registry import PACKAGED, WEIGHTS
from ..weights.registry import check_hq as check_hq
from .console import print_table
from .plain import complete_names

if TYPE_CHECKING:
    from ..batch.job import Job
    from ..io.find import Found
    from .console import ConsoleReporter

DEFAULT_MODEL, MODEL_VARIABLE = "lite", "HQSAM_MODEL"
STDIN = "-"
IMAGES, SPEED, RESULTS = "Images", "Model and speed", "Results"


InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Images, folders (searched recursively), globs, tars, addresses of these (s3://…), or - for paths from "
        "stdin.",
    ),
]
NullOption = Annotated[
    bool, typer.Option("--null", "-0", rich_help_panel=IMAGES, help="Paths on stdin are NUL-separated.")
]
ExifOption = Annotated[
    Exif, typer.Option(rich_help_panel=IMAGES, help="Turn photos as EXIF says before boxes are read.")
]
DrawnExifOption = Annotated[
    Exif,
    typer.Option(
        rich_help_panel=IMAGES,
        help="How photos that EXIF turns are read where a mask fits them both ways: upright, or as stored.",
    ),
]
MaxPixelsOption = Annotated[int, typer.Option(metavar="N", min=1, rich_help_panel=IMAGES, help="Refuse larger images.")]
WorkersOption = Annotated[
    int, typer.Option(metavar="N", min=1, rich_help_panel=SPEED, help="Threads that decode and write.")
]
OverwriteOption = Annotated[
    bool,
    typer.Option(
        "--overwrite", rich_help_panel=RESULTS, help="Start again instead of continuing; replace what is there."
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="A line for every image.")]

ModelOption = Annotated[
    str,
    typer.Option(
        metavar="NAME|PATH",
        envvar=MODEL_VARIABLE,
        rich_help_panel=SPEED,
        help="lite, vit_tiny, vit_b, vit_l, vit_h, or an HQ-SAM, SAM or MobileSAM checkpoint.",
        autocompletion=complete_names(lambda: [*PACKAGED, *WEIGHTS]),
    ),
]
ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME|PATH",
        rich_help_panel=SPEED,
        help=f"As in segment; repeatable, each on every data set. {MODEL_VARIABLE}, or lite, unless given.",
        autocompletion=complete_names(lambda: [*PACKAGED, *WEIGHTS]),
    ),
]
MaskOutputOption = Annotated[
    MaskOutput,
    typer.Option(rich_help_panel=SPEED, help="SAM plus HQ logits, the HQ logits alone, or plain SAM."),
]
DeviceOption = Annotated[
    str, typer.Option(metavar="auto|cpu|cuda[:N]|mps", rich_help_panel=SPEED, help="Where to compute.")
]
DtypeOption = Annotated[
    str,
    typer.Option(
        metavar="auto|float32|bfloat16|float16",
        rich_help_panel=SPEED,
        help="Precision; auto is bfloat16 where the device computes in it.",
    ),
]


def input_images(inputs: list[str], null: bool, output: str, reporter: ConsoleReporter) -> Found:
    """What INPUT means, but for what is in the output.

    Raises:
        NoInputError: there is no image, or none of them exists; what is at an address is asked for later.
    """
    from ..formats.values import some_of
    from ..io.find import OUTPUTS, find_images

    if not output:
        raise UsageError("an empty name", option="output", remedy="give a folder, or -")

    # Where the output is an input itself, its masks are none.
    exclude = [] if output == STDIN else [output, *(f"{output.rstrip('/')}/{name}" for name in OUTPUTS)]
    found = find_images(inputs, stdin=sys.stdin.buffer, null_separated=null, exclude=exclude)
    for text in found.broken:
        reporter.on_failure(text)
    if not any(image.stored is not None or os.path.lexists(image.path) for image in found.images):
        raise NoInputError(_nothing(inputs, found))
    if found.unread:
        reporter.on_problem(f"images of kinds that are not read: {len(found.unread)} ({_kinds(found.unread)}")
    if reporter.verbose and found.passed:
        reporter.say(f"thumbnails, bins, hidden files and outputs of runs, left out: {some_of(found.passed)}")
    return found


def _kinds(paths: list[str]) -> str:
    """The first of each kind of unread images, and what to do."""
    from ..formats.values import some_of

    first = {os.path.splitext(path)[1].lower(): path for path in reversed(paths)}
    heif = any(suffix in HEIF_SUFFIXES for suffix in first)
    remedy = "pip install 'hqsam-cli[heif]' reads HEIC" if heif else "convert them to JPEG, PNG or TIFF"
    return f"{some_of(sorted(first.values()))}); {remedy}"


def _nothing(inputs: list[str], found: Found) -> str:
    """Why the inputs hold no image that exists."""
    from ..formats.values import some_of

    for item in inputs:
        suffix = os.path.splitext(item)[1].lower()
        if suffix in VIDEO_SUFFIXES:
            return f"{item}: a video; take its frames first (ffmpeg -i {item} frames/%06d.png), and give their folder"
        if suffix == ".pdf":
            return f"{item}: a PDF; take its images first (pdfimages -png {item} pages), and give their folder"
    if found.unread:
        return f"no image that can be read in {', '.join(inputs)}: {len(found.unread)} are not ({_kinds(found.unread)}"
    if found.images:
        names = some_of(image.path for image in found.images)
        return f"no input exists ({names}): check the paths, or give folders of images, or globs"
    return f"no image in {', '.join(inputs)}: give images, folders of images, or globs"


def made_by() -> dict[str, str]:
    """The command and the time, for those who find its results."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"command": shlex.join(["hqsam", *sys.argv[1:]]), "date_created": now}


def print_plan(job: Job, done: int, **more: str) -> None:
    """What a run would do, on stdout."""
    output = "stdout" if job.output is None else str(job.output)
    rows = [("images", str(len(job.images))), ("done", str(done)), ("left", str(len(job.images) - done))]
    print_table((), [*rows, *more.items(), ("output", output), ("formats", ", ".join(sorted(job.formats)))])


def results_stream() -> BinaryIO:
    """Where `--output -` goes.

    Raises:
        UsageError: stdout is closed.
    """
    if sys.stdout is None:
        raise UsageError("--output -: stdout is closed", remedy="give a folder")
    return sys.stdout.buffer


def find_model(model: str, reporter: ConsoleReporter, *, may_fetch: bool) -> tuple[Path | None, str]:
    """The checkpoint of a model and its SHA-256; no file where it is not here and is not to be fetched.

    Raises:
        HqsamError: there is no such model.
    """
    from ..weights.checkpoints import file_hash, find_checkpoint
    from ..weights.hub import official_sha256

    known = None if may_fetch else official_sha256(model)
    if known is not None:
        return None, known
    checkpoint = find_checkpoint(model, None if reporter.quiet else reporter.say)
    return checkpoint, file_hash(checkpoint)
