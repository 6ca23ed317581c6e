"""`hqsam export`: a model as ONNX files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ..errors import NoInputError, UsageError
from .console import print_table
from .options import QuietOption
from .reporter import ConsoleReporter

EPILOG = """
[bold]Examples[/bold]

hqsam export lite lite-onnx

hqsam export vit_l vit_l-half --half

hqsam segment ./imgs --boxes dets.json --model lite-onnx
"""


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model, by name or path, as in hqsam segment.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder.")],
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Image to compare masks on; repeatable; by default two of ultralytics."),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Export in float16, for GPUs.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Quantize the weights of matrix products to 8 bits.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Export a model as ONNX: DIR/encoder.onnx, DIR/decoder.onnx and DIR/model.json.

    Compares its masks with torch's, and writes nothing if they differ. hqsam segment --model DIR runs it without torch.
    """
    from ..io.images import read_image
    from ..weights.export import Precision, export_model

    if half and int8:
        raise UsageError("--half and --int8 are two precisions", remedy="omit one of them")
    paths = image or _default_images()
    reporter = ConsoleReporter(quiet=quiet)
    precision: Precision = "float16" if half else "int8" if int8 else "float32"
    made = export_model(model, folder, [read_image(path) for path in paths], precision, reporter.say)
    if not quiet:
        sizes = [(name, f"{was / 1e6:.1f} MB", f"{now / 1e6:.1f} MB") for name, (was, now) in made.sizes.items()]
        print_table(("file", "float32", precision), sizes)
        rows = [(own.output, str(own.masks), f"{own.mean:.5f}", f"{own.least:.5f}") for own in made.agreements]
        print_table(("mask output", "masks", "mean IoU with torch", "lowest"), rows)
    reporter.say(f"wrote {folder}", "green")


def _default_images() -> list[str]:
    """The photos in ultralytics, which is not imported."""
    spec = find_spec("ultralytics")
    found = [] if spec is None or spec.origin is None else sorted(Path(spec.origin).parent.glob("assets/*.jpg"))
    if not found:
        raise NoInputError("no images to compare masks on", remedy="pass --image PATH")
    return [str(path) for path in found]
