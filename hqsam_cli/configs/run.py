"""Options of every run over images: reading, device, and resuming."""

from __future__ import annotations

from dataclasses import dataclass

from .names import DEFAULT_MAX_PIXELS, Exif
from .option import option

PROMPTS, DETECTOR = "Prompts", "Detector"
DATA, PROTOCOL, TRAINING, ABLATIONS = "Data", "Protocol", "Training", "Ablations"
RESULTS, SPEED, IMAGES, ADVANCED = "Results", "Model and speed", "Images", "Advanced"
PANELS = (PROMPTS, DETECTOR, DATA, PROTOCOL, TRAINING, ABLATIONS, RESULTS, SPEED, IMAGES, ADVANCED)
EXIF_OF_PAIRS = "EXIF orientation of photos whose masks fit both orientations: apply or ignore it."
WINDOWS = (
    "Refine masks in windows around the objects, for small objects in large images; without prompts, find objects in "
    "overlapping windows. auto: in images at least 1.5 times as large as the model's input, without prompts 6 times; "
    "on: in all images; off: never."
)
DEVICE = "Device; auto is CUDA if available, else MPS, else the CPU."


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """The options that `segment` and `detect` share."""

    overwrite: bool = option(
        False, "Delete the results in the output, of all images, and start from the beginning.", RESULTS
    )
    redo: bool = option(
        False,
        "Process the given images again, with options that may differ from those of the run; other images keep their "
        "results.",
        RESULTS,
    )
    overwrite_edited: bool = option(False, "Also overwrite and delete result files that were edited by hand.", ADVANCED)
    prune: bool = option(
        False,
        "Delete results even if more than 10 images, and more than 10% of all, lose theirs in one run.",
        ADVANCED,
    )
    device: str = option(
        "auto",
        DEVICE,
        SPEED,
        metavar="auto|cpu|cuda[:N]|mps",
        compared=True,
    )
    # Not compared: on a GPU it changes results by rounding, as a resumed run does, whose batches are others.
    batch_size: int | None = option(None, "Images per batch; 4 by default, 1 on a CPU.", ADVANCED, metavar="N", min=1)
    workers: int = option(
        4, "Number of threads that decode images, and of threads that write results.", ADVANCED, metavar="N", min=1
    )
    exif: Exif = option(
        "apply",
        "Apply or ignore the EXIF orientation of photos; prompts refer to the image as read.",
        ADVANCED,
        compared=True,
    )
    max_pixels: int = option(
        DEFAULT_MAX_PIXELS,
        "Maximum number of pixels per image; larger images fail, except TIFFs, which are read in windows.",
        ADVANCED,
        metavar="N",
        min=1,
        compared=True,
    )
    retry_failed: bool = option(False, "Retry unchanged images that failed in an earlier run.", ADVANCED)
    max_errors: str | None = option(
        None,
        "Stop with exit code 1 once more than N images, or P% of them, have failed; 0 stops at the first.",
        ADVANCED,
        metavar="N|P%",
    )
    journal: str | None = option(
        None, "Local folder for the journal if --output is a URL; by default it is kept at the URL.", ADVANCED,
        metavar="DIR",
    )  # fmt: skip
