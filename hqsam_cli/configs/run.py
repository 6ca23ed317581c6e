"""Options of every run over images: how images are read, the device, and how a run continues."""

from __future__ import annotations

from dataclasses import dataclass

from .names import DEFAULT_MAX_PIXELS, Exif
from .option import option

PROMPTS, EVERYTHING, DETECTOR = "Prompts", "Everything", "Detector"
DATA, PROTOCOL, TRAINING, ABLATIONS = "Data", "Protocol", "Training", "Ablations"
RESULTS, SPEED, IMAGES, RUN = "Results", "Model and speed", "Images", "Long runs"
PANELS = (PROMPTS, EVERYTHING, DETECTOR, DATA, PROTOCOL, TRAINING, ABLATIONS, RESULTS, SPEED, IMAGES, RUN)
EXIF_OF_PAIRS = "How to read photos that EXIF rotates and whose masks fit both ways: upright, or as stored."


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """The options that `segment` and `detect` share."""

    overwrite: bool = option(False, "Overwrite existing output and start from the beginning.", RESULTS)
    overwrite_edited: bool = option(False, "Also overwrite and delete result files that were edited by hand.", RESULTS)
    prune: bool = option(
        False,
        "Delete results even if more than 10 images, and more than 10% of all, lose theirs in one run.",
        RESULTS,
    )
    device: str = option(
        "auto",
        "Device; auto is CUDA if available, else MPS, else the CPU.",
        SPEED,
        metavar="auto|cpu|cuda[:N]|mps",
        compared=True,
    )
    batch_size: int | None = option(None, "Images per batch; 4 by default, 1 on a CPU.", SPEED, metavar="N", min=1)
    workers: int = option(
        4, "Number of threads that decode images, and of threads that write results.", SPEED, metavar="N", min=1
    )
    exif: Exif = option(
        "apply",
        "Apply or ignore the EXIF orientation of photos; prompts refer to the image as read.",
        IMAGES,
        compared=True,
    )
    max_pixels: int = option(
        DEFAULT_MAX_PIXELS,
        "Maximum number of pixels per image; larger images fail.",
        IMAGES,
        metavar="N",
        min=1,
        compared=True,
    )
    retry_failed: bool = option(False, "Retry unchanged images that failed in an earlier run.", RUN)
    max_errors: str | None = option(
        None,
        "Stop with exit code 1 once more than N images, or P% of them, have failed; 0 stops at the first.",
        RUN,
        metavar="N|P%",
    )
    journal: str | None = option(
        None, "Local folder for the journal if --output is a URL; by default it is kept at the URL.", RUN,
        metavar="DIR",
    )  # fmt: skip
