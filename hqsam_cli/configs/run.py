"""What all runs over images are told: how images are read, where they are computed on, and how a run continues."""

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

    overwrite: bool = option(False, "Start again instead of continuing; replace what is there.", RESULTS)
    overwrite_edited: bool = option(False, "Also replace and remove files of results that somebody edited.", RESULTS)
    prune: bool = option(
        False,
        "Remove results though more than a tenth of the images, and more than ten, would lose them at once.",
        RESULTS,
    )
    device: str = option("auto", "Where to compute.", SPEED, metavar="auto|cpu|cuda[:N]|mps", compared=True)
    batch_size: int | None = option(None, "Images per batch: 4, and 1 on a CPU.", SPEED, metavar="N", min=1)
    workers: int = option(4, "Threads that decode images, and as many that write results.", SPEED, metavar="N", min=1)
    exif: Exif = option(
        "apply", "Rotate photos by their EXIF orientation before prompts are applied.", IMAGES, compared=True
    )
    max_pixels: int = option(
        DEFAULT_MAX_PIXELS, "Refuse images with more pixels.", IMAGES, metavar="N", min=1, compared=True
    )
    retry_failed: bool = option(False, "Try images again that failed before and have not changed.", RUN)
    max_errors: str | None = option(
        None,
        "Stop with exit code 1 when more images than that have failed; 0 stops at the first.",
        RUN,
        metavar="N|P%",
    )
    journal: str | None = option(
        None, "Local folder for the journal of an --output at an address; kept at the address by default.", RUN,
        metavar="DIR",
    )  # fmt: skip
