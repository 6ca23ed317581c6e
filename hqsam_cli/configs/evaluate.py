"""Options of `hqsam eval`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .names import DEFAULT_MODEL, Exif, Windows
from .option import CHOICES, option, part
from .run import DATA, DEVICE, EXIF_OF_PAIRS, IMAGES, PROTOCOL, RESULTS, SPEED, WINDOWS

Protocol = Literal["paper", "deploy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalOutput:
    """Output files of an evaluation; none by default."""

    json: Path | None = option(None, "All scores as JSON; - for stdout, without the table.", RESULTS, metavar="FILE")
    per_image: Path | None = option(None, "CSV with the scores of each image.", RESULTS, metavar="FILE")
    plot: Path | None = option(
        None,
        "PNG, PDF or SVG: mBIoU by boundary width, or mIoU by number of points or clicks.",
        RESULTS,
        metavar="FILE",
    )
    worst: tuple[int, Path] | None = option(None, "Draw the K images with the lowest IoU.", RESULTS, metavar="K DIR")
    report: Path | None = option(None, "HTML report: DIR/index.html.", RESULTS, metavar="DIR")

    @property
    def curves(self) -> bool:
        """Whether boundaries of several widths are scored."""
        return self.plot is not None or self.report is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalConfig:
    """Options of an evaluation, except its data sets; each model is evaluated on each of them."""

    model: tuple[str, ...] = (DEFAULT_MODEL,)
    data_root: Path = option(Path("data"), "Folder of the data sets.", DATA, metavar="DIR", envvar="HQSAM_DATA")
    limit: int | None = option(None, "Evaluate only the first N images.", DATA, metavar="N", min=1, compared=True)
    detections: Path | None = option(
        None, "COCO results of a detector (DAVIS: boxes by frame) instead of ground-truth boxes. Frames of ytvis have "
        "image ids 1, 2, … in the order of its videos.", DATA, metavar="FILE",
    )  # fmt: skip
    coarse_masks: Path | None = option(None, "PNG masks for --prompt mask, named as the images.", DATA, metavar="DIR")
    protocol: Protocol | None = option(
        None, "paper: the authors' evaluation of the four data sets, and the default for them. deploy: what hqsam "
        "segment --raw does, and the default elsewhere.", PROTOCOL, compared=True,
    )  # fmt: skip
    prompt: str = option(
        "box", "Prompt: box, box-noise:0.2, points:1,3,5,5+5 (foreground+background), mask, or clicks.", PROTOCOL,
        metavar="PROMPT", compared=True,
    )  # fmt: skip
    mask_output: tuple[str, ...] = option(
        (),
        "Mask outputs to evaluate; repeatable; by default all that the model has.",
        PROTOCOL,
        metavar="sum|hq|sam",
        complete=CHOICES,
        compared=True,
    )
    windows: Windows = option("auto", WINDOWS, PROTOCOL, compared=True)
    refine: bool = option(False, "Also score SAM's masks refined by CascadePSP.", PROTOCOL, compared=True)
    seed: int = option(42, "Random seed.", PROTOCOL, metavar="N", compared=True)
    resume: bool = option(False, "Resume an interrupted evaluation.", RESULTS)
    exif: Exif = option("apply", EXIF_OF_PAIRS, IMAGES, compared=True)
    device: str = option("auto", DEVICE, SPEED, metavar="auto|cpu|cuda[:N]|mps", compared=True)
    dtype: str = option(
        "auto", "Precision; auto is bfloat16 if the device supports it, else float32.", SPEED,
        metavar="auto|float32|bfloat16|float16", complete=CHOICES, compared=True,
    )  # fmt: skip
    output: EvalOutput = part(EvalOutput)
