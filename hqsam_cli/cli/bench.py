"""`hqsam bench`: inference speed on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..configs import DEFAULT_MAX_PIXELS
from ..inference.device import Compute, resolve_compute
from .console import ConsoleReporter, print_json, print_table
from .options import (
    DEFAULT_MODEL,
    DeviceOption,
    ModelOption,
    QuietOption,
)

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from ..configs import MaskOutput

SIZE = 1600, 1200  # of the synthetic image, in pixels
EPILOG = """
[bold]Examples[/bold]

hqsam bench

hqsam bench ./imgs --model vit_l --boxes 32 --images 4
"""


def bench(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUT]...", help="Images, as in hqsam segment; by default a synthetic one."),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    boxes: Annotated[int, typer.Option(metavar="N", min=1, help="Number of random boxes per image.")] = 8,
    images: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of images to time; medians are reported.")
    ] = 8,
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Benchmark the inference stages of a model on this machine, per precision, SAM beside HQ-SAM.

    The last column is the rate of operations in percent of the peak matmul rate measured in that precision.
    """
    from ..inference.speed import peak_memory
    from ..weights.hub import find_checkpoint

    reporter = ConsoleReporter(quiet=quiet)
    photos = _photos(inputs or [], images, reporter)
    compute = resolve_compute(device, "auto")
    path = find_checkpoint(model, None if quiet else reporter.say)
    precisions = dict.fromkeys((compute, resolve_compute(device, "float32")))
    measured = [_measure(path, own, photos, boxes, reporter) for own in precisions]
    parameters, rows = measured[0][0], [row for _, own in measured for row in own]
    found = {
        "model": model,
        "parameters": parameters,
        "device": str(compute.device),
        "boxes": boxes,
        "images": len(photos),
        "peak_memory": peak_memory(compute.device),
        "rows": rows,
    }
    if as_json:
        print_json(found)
        return
    columns = ("precision", "masks", "image", "prompt", "to RLE", f"with {boxes} boxes", "images/s", "% of peak matmul")
    cells = [
        (
            row["dtype"],
            row["mask_output"],
            *(f"{1000 * row[key]:.1f} ms" for key in ("seconds_encode", "seconds_prompt", "seconds_rle")),
            f"{1000 * row['seconds_image']:.0f} ms",
            f"{1 / row['seconds_image']:.2f}",
            f"{row['matrix_rate_share']:.0%}",
        )
        for row in rows
    ]
    print_table(columns, cells)


def _measure(
    path: Path, compute: Compute, photos: list[np.ndarray], boxes: int, reporter: ConsoleReporter
) -> tuple[int, list[dict[str, Any]]]:
    """The number of parameters of a model, and a row per mask output."""
    from ..inference.predictor import Predictor, prepare_for_inference
    from ..inference.speed import matrix_rate, measure_stages
    from ..weights.checkpoints import load_checkpoint

    peak = matrix_rate(compute.device, compute.dtype)
    checkpoint = load_checkpoint(path)
    parameters = sum(p.numel() for p in checkpoint.parameters())
    hq_sam = prepare_for_inference(checkpoint, compute.device, compute.dtype)
    outputs: list[MaskOutput] = ["sum", "sam"] if hq_sam.has_hq else ["sam"]
    rows: list[dict[str, Any]] = []
    for output in outputs:
        reporter.say(f"{len(photos)} photos, {output} in {compute.dtype_name}")
        predictor = Predictor(
            hq_sam, mask_output=output, dtype=compute.dtype, prompts_per_batch=compute.prompts_per_batch
        )
        times = measure_stages(predictor, photos, boxes)
        rows.append(
            {
                "dtype": compute.dtype_name,
                "mask_output": output,
                "seconds_encode": times.encode,
                "seconds_prompt": times.decode,
                "seconds_rle": times.write,
                "seconds_image": times.image,
                "operations": times.operations,
                "matrix_rate_share": times.rate / peak,
            }
        )
    return parameters, rows


def _photos(inputs: list[str], count: int, reporter: ConsoleReporter) -> list[np.ndarray]:
    """The first `count` images of the inputs, or a synthetic one `count` times."""
    from ..inference.speed import random_photo
    from ..io.images import read_image

    if not inputs:
        return [random_photo(*SIZE)] * count
    from ..batch.inputs import input_images

    found = input_images(inputs, "hqsam_out", reporter, stdin=sys.stdin.buffer, null_separated=False)
    sources = found.images[:count]
    return [read_image(source.place(), exif="apply", max_pixels=DEFAULT_MAX_PIXELS) for source in sources]
