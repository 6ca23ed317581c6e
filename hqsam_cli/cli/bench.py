"""`hqsam bench`: inference speed on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..configs import DEFAULT_MAX_PIXELS
from .console import print_json, print_table
from .options import DEFAULT_MODEL, DeviceOption, ModelOption, QuietOption
from .reporter import ConsoleReporter

if TYPE_CHECKING:
    import numpy as np

    from ..configs import MaskOutput
    from ..inference.device import Compute
    from ..modeling.sam import HQSam

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
    from ..inference.device import resolve_compute
    from ..inference.speed import peak_memory
    from ..weights.checkpoints import load_checkpoint
    from ..weights.hub import find_checkpoint

    reporter = ConsoleReporter(quiet=quiet)
    photos = _photos(inputs or [], images, reporter)
    compute = resolve_compute(device, "auto")
    path = find_checkpoint(model, None if quiet else reporter.say)
    parameters, rows = 0, []
    for own in dict.fromkeys((compute, resolve_compute(device, "float32"))):
        checkpoint = load_checkpoint(path)  # anew, since a model is converted to its precision in place
        parameters = sum(p.numel() for p in checkpoint.parameters())
        rows += _measure(checkpoint, own, photos, boxes, reporter)
    found = {
        "model": model,
        "parameters": parameters,
        "device": compute.name,
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
    checkpoint: HQSam, compute: Compute, photos: list[np.ndarray], boxes: int, reporter: ConsoleReporter
) -> list[dict[str, Any]]:
    """A row per mask output, in one precision."""
    from ..inference.predictor import Predictor, prepare_for_inference
    from ..inference.speed import matrix_rate, measure_stages

    peak = matrix_rate(compute.device, compute.dtype)
    sam = prepare_for_inference(checkpoint, compute.device, compute.dtype)
    outputs: list[MaskOutput] = [sam.mask_output, "sam"] if sam.has_hq else ["sam"]
    rows = []
    for output in outputs:
        reporter.say(f"{len(photos)} images, {output} in {compute.dtype_name}")
        predictor = Predictor(sam, mask_output=output, dtype=compute.dtype, prompts_per_batch=compute.prompts_per_batch)
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
    return rows


def _photos(inputs: list[str], count: int, reporter: ConsoleReporter) -> list[np.ndarray]:
    """The first `count` images of the inputs, or a synthetic one `count` times."""
    from ..batch.inputs import input_images
    from ..inference.speed import random_photo
    from ..io.images import read_image

    if not inputs:
        return [random_photo(*SIZE)] * count
    found = input_images(inputs, "hqsam_out", reporter, stdin=sys.stdin.buffer, null_separated=False)
    return [read_image(own.file(), exif="apply", max_pixels=DEFAULT_MAX_PIXELS) for own in found.images[:count]]
