"""What cannot be meant, refused before any file is read."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from ..configs import DEFAULT_TOLERANCE, STDIN, SegmentConfig
from ..configs.formats import POLYGON_FORMATS
from ..configs.option import changed
from ..errors import UsageError
from ..io.addresses import is_address
from ..weights.registry import WEIGHTS, no_hq_message

AREA = re.compile(r"\d+(\.\d+)?%?")
LINES = "ndjson"  # the format of stdout


def check_segment(config: SegmentConfig, inputs: Sequence[str], output: str, formats: Collection[str]) -> SegmentConfig:
    """A config whose options go together, with what follows from them said.

    Args:
        formats: all there are.

    Raises:
        UsageError: which option does not go with the others.
    """
    check_formats(config.format, formats)
    if output == STDIN:
        config = _to_stdout(config)
    config = _with_tolerance(config)
    _check_cleaning(config)
    _check_cutout(config)
    _check_prompts(config, inputs)
    _check_engine(config)
    if config.mask_output != "sam" and config.model in WEIGHTS and not WEIGHTS[config.model].has_hq:
        raise UsageError(no_hq_message(config.model, config.mask_output))
    if config.compare_sam and (config.everything or config.mask_output == "sam"):
        raise UsageError(
            "compares the masks of prompts with those of HQ-SAM",
            option="compare_sam",
            remedy="leave out --everything and --mask-output sam",
        )
    return config


def check_formats(formats: Sequence[str], known: Collection[str]) -> None:
    """Raise a UsageError where there is no such format."""
    for name in formats:
        if name not in known:
            raise UsageError("no such format", option="format", value=name, remedy=f"there are {', '.join(known)}")


def check_places(formats: Collection[str], output: str, images_elsewhere: bool) -> None:
    """Raise a UsageError where files of a format would have to say where images are, and cannot."""
    if "yolo-seg" in formats and images_elsewhere:
        raise UsageError("yolo-seg links to images that are files", remedy="fetch them first, or pass another --format")
    beside = sorted({"yolo-seg", "labelme"} & set(formats))
    if beside and is_address(output):
        raise UsageError(
            f"files of {beside[0]} say where images are from there, and {output} is an address",
            remedy="give a folder, or pass another --format",
        )


def errors_allowed(max_errors: str | None, images: int) -> int | None:
    """How many of so many images may fail; None where all of them may.

    Raises:
        UsageError: that is no number and no share.
    """
    if max_errors is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", max_errors)
    if match is None or (not match[2] and "." in match[1]) or (match[2] and float(match[1]) > 100):
        raise UsageError("neither a number nor a share", option="max_errors", value=max_errors, remedy="as 20 or 0.5%")
    return int(float(match[1]) / 100 * images) if match[2] else int(match[1])


def _to_stdout(config: SegmentConfig) -> SegmentConfig:
    picture = "overlay" if config.overlay else "thumbnail" if config.thumbnail else None
    if picture is not None:
        raise UsageError("--output - writes NDJSON alone", remedy=f"leave --{picture} out, or give a folder")
    if config.format not in (SegmentConfig().format, (LINES,)):
        raise UsageError("--output - writes NDJSON alone", remedy="leave --format out, or give a folder")
    return replace(config, format=(LINES,))


def _with_tolerance(config: SegmentConfig) -> SegmentConfig:
    """The config with the tolerance of its polygons; None where nothing that is written has any."""
    segmentation, tolerance = config.polygons.segmentation, config.polygons.tolerance
    if segmentation != "rle" and not config.formats & {"coco", "ndjson"}:
        raise UsageError("is for COCO and NDJSON", option="segmentation", remedy="pass --format coco too")
    if segmentation == "rle" and not config.formats & POLYGON_FORMATS:
        if tolerance is not None:
            raise UsageError(
                "is for polygons", option="tolerance", remedy="pass --segmentation polygon, or a format that has them"
            )
        return config
    return replace(
        config, polygons=replace(config.polygons, tolerance=DEFAULT_TOLERANCE if tolerance is None else tolerance)
    )


def _check_cleaning(config: SegmentConfig) -> None:
    cleaning = config.cleaning
    for name in ("min_region", "fill_holes"):
        value = getattr(cleaning, name)
        if value is not None and not AREA.fullmatch(value):
            raise UsageError("is no area", option=name, value=value, remedy="give pixels, or a share such as 0.5%")
    if cleaning.largest_part and cleaning.min_region is not None:
        raise UsageError("--largest-part drops all parts but one", remedy="leave --min-region out")


def _check_cutout(config: SegmentConfig) -> None:
    formats, cutout = config.formats, config.cutout
    if cutout.soft and "cutout" not in formats and not (cutout.background and "crop" in formats):
        raise UsageError("is for cut-outs", option="soft", remedy="pass --format cutout too")
    if cutout.soft and config.everything:
        raise UsageError("--everything has no soft borders", remedy="leave --soft out")
    if cutout.background is not None:
        if not formats & {"cutout", "crop"}:
            raise UsageError("is for cut-outs and crops", option="background", remedy="pass --format cutout too")
        rgb_of(cutout.background)


def rgb_of(color: str) -> tuple[int, int, int]:
    """Red, green and blue of a color as the web writes it; a UsageError of what is none."""
    from PIL import ImageColor

    try:
        red, green, blue, *_ = ImageColor.getrgb(color)
    except ValueError:
        remedy = "give one such as white, or #f0f0f0"
        raise UsageError("no color", option="background", value=color, remedy=remedy) from None
    return red, green, blue


def _check_prompts(config: SegmentConfig, inputs: Sequence[str]) -> None:
    prompts, detector = config.prompts, config.detection.detector
    files = [path for path in (prompts.boxes, prompts.points, prompts.coarse_masks) if path is not None]
    if prompts.images_json is not None and not files:
        reason = "lists the images of a results list, and none is given"
        raise UsageError(reason, option="images_json", remedy="pass --boxes too")
    if not config.everything and (unused := changed(config.generator)):
        raise UsageError("for everything mode", option=unused[0], remedy="pass --everything too")
    if config.everything:
        if files or prompts.frame or detector is not None:
            raise UsageError(
                "--everything asks for no prompts",
                remedy="leave --boxes, --points, --coarse-masks, --frame and --detector out",
            )
        if config.multimask:
            raise UsageError("--everything looks at all masks of a point by itself", remedy="leave --multimask out")
    if prompts.frame and files:
        raise UsageError("--frame is a prompt of its own", remedy="leave --boxes, --points and --coarse-masks out")
    if detector is not None and (prompts.frame or files):
        raise UsageError("--detector finds the boxes", remedy="leave --boxes, --points, --coarse-masks and --frame out")
    if [*inputs, *files, prompts.images_json].count(STDIN) > 1:
        raise UsageError("stdin can be read once: only one of INPUT and the files of prompts may be -")


def _check_engine(config: SegmentConfig) -> None:
    other = "engine" if config.engine == "ray" else "device" if config.device != "auto" else None
    if config.devices is not None and other is not None:
        raise UsageError(f"says where to compute, and so does --{other}", option="devices", remedy="give one of them")
    unused = "address" if config.address is not None else "actors" if config.actors is not None else None
    if config.engine == "local" and unused is not None:
        raise UsageError("for a Ray cluster", option=unused, remedy="pass --engine ray too")
