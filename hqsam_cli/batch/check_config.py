"""Validation of options, before any file is read."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Collection, Sequence
from dataclasses import replace
from importlib.util import find_spec

from ..configs import DEFAULT_TOLERANCE, STDIN, DetectorConfig, PromptConfig, RunConfig, SegmentConfig
from ..configs.detect import LIKELY_OBJECT
from ..configs.formats import EITHER_FORMATS
from ..configs.option import changed
from ..errors import UsageError
from ..inference.exported import ExportedModel
from ..io.addresses import is_address
from ..prompts.typed import read_typed
from ..weights.hub import local_path
from ..weights.registry import WEIGHTS, check_hq

log = logging.getLogger(__name__)
AREA = re.compile(r"\d+(\.\d+)?%?")
LINES = "ndjson"  # the stdout format
COMPILERS = ("g++", "clang++", "gcc", "clang", "cl")  # torch.compile needs one: of C++ on a CPU, of C on a GPU


def check_segment(config: SegmentConfig, inputs: Sequence[str], output: str, formats: Collection[str]) -> SegmentConfig:
    """Validate a config, and fill in options that follow from others.

    Args:
        formats: all known output formats.

    Raises:
        UsageError: conflicting options.
    """
    config = replace(config, format=_listed(config.format))
    check_formats(config.format, formats)
    if output == STDIN:
        config = _to_stdout(config)
    config = _with_tolerance(config)
    check_redo(config, None if output == STDIN else output)
    if config.redo and config.shard is not None:
        raise UsageError("applies to a whole run", option="redo", remedy="merge its shards first, and omit --shard")
    _check_cleaning(config)
    _check_cutout(config)
    _check_prompts(config, inputs)
    config = _with_objects(config)
    _check_engine(config)
    errors_allowed(config.max_errors, 0)
    if config.model not in WEIGHTS:
        local_path(config.model)
    check_hq(config.model, config.mask_output or "hq")
    if config.exif == "ignore" and (turning := sorted(config.formats & {"labelme", "yolo-seg", "yolo-obb"})):
        log.warning("%s: its readers apply EXIF orientation; labels of rotated images do not fit", ", ".join(turning))
    if config.compare_sam and (config.everything or config.mask_output == "sam"):
        raise UsageError(
            "compares HQ-SAM with SAM, on prompts",
            option="compare_sam",
            remedy="omit --everything and --mask-output sam",
        )
    return config


def check_redo(config: RunConfig, output: object) -> None:
    """Raise a UsageError if there is nothing to make again.

    Args:
        output: None for stdout.
    """
    if config.redo and config.overwrite:
        raise UsageError("cannot be combined with --overwrite", option="redo", remedy="omit one of them")
    if config.redo and output is None:
        raise UsageError("needs the output of a run", option="redo", remedy="pass its folder as --output")


def check_exported(model: ExportedModel, config: SegmentConfig, *, is_bare: bool) -> None:
    """Raise a UsageError for options that an exported model does not support.

    Args:
        is_bare: neither prompts nor a detector are given.
    """
    if is_bare or config.everything or config.prompts.salient:
        remedy = "pass --boxes, --points, --coarse-masks or --detector, or the model that was exported"
        raise UsageError("an exported model needs prompts", option="model", value=config.model, remedy=remedy)
    if config.windows == "on":
        raise UsageError("an exported model segments whole images", option="windows", value="on", remedy="omit it")
    if config.compile:
        raise UsageError("an exported model runs in ONNX Runtime", option="compile", remedy="omit it")
    if config.devices is not None:
        raise UsageError("an exported model runs on one device", option="devices", remedy="pass `device`")
    if config.mask_output is not None and config.mask_output not in model.mask_outputs:
        remedy = f"choose from {', '.join(model.mask_outputs)}"
        raise UsageError("not in this exported model", option="mask_output", value=config.mask_output, remedy=remedy)


def _listed(formats: Sequence[str]) -> tuple[str, ...]:
    """Formats given one by one or separated by commas, without repetitions."""
    given = [formats] if isinstance(formats, str) else formats  # one name, in Python
    return tuple(dict.fromkeys(name.strip() for text in given for name in text.split(",")))


def check_formats(formats: Sequence[str], known: Collection[str]) -> None:
    """Raise a UsageError for an unknown format, or one whose package is not installed."""
    for name in formats:
        if name not in known:
            raise UsageError("unknown format", option="format", value=name, remedy=f"choose from {', '.join(known)}")
    if "geojson" in formats and find_spec("rasterio") is None:
        raise UsageError("geojson needs rasterio", option="format", remedy="pip install 'hqsam-cli[geo]'")


def check_places(formats: Collection[str], output: str, images_elsewhere: bool) -> None:
    """Raise a UsageError if a format needs local images, or a local output."""
    linked = sorted({"yolo-seg", "yolo-obb"} & set(formats))
    local = sorted({"yolo-seg", "yolo-obb", "geojson"} & set(formats))
    if local and images_elsewhere:
        raise UsageError(
            f"{local[0]} needs local image files", remedy="download or unpack the images first, or use another --format"
        )
    beside = sorted({*linked, *({"labelme"} & set(formats))})
    if beside and is_address(output):
        raise UsageError(
            f"{beside[0]} stores relative image paths, which cannot be written to the URL {output}",
            remedy="use a local folder, or another --format",
        )


def errors_allowed(max_errors: str | None, images: int) -> int | None:
    """Maximum number of failed images; None for no limit.

    Raises:
        UsageError: not a number or percentage.
    """
    if max_errors is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", max_errors)
    if match is None or (not match[2] and "." in match[1]) or (match[2] and float(match[1]) > 100):
        raise UsageError(
            "not a number or percentage", option="max_errors", value=max_errors, remedy="such as 20 or 0.5%"
        )
    return int(float(match[1]) / 100 * images) if match[2] else int(match[1])


def _to_stdout(config: SegmentConfig) -> SegmentConfig:
    picture = "overlay" if config.overlay else "thumbnail" if config.thumbnail else None
    if picture is not None:
        raise UsageError("--output - writes only NDJSON", remedy=f"omit --{picture}, or pass a folder")
    if config.format not in (SegmentConfig().format, (LINES,)):
        raise UsageError("--output - writes only NDJSON", remedy="omit --format, or pass a folder")
    return replace(config, format=(LINES,))


def _with_tolerance(config: SegmentConfig) -> SegmentConfig:
    """Return the config with the polygon tolerance; None if no output has polygons."""
    segmentation, tolerance = config.polygons.segmentation, config.polygons.tolerance
    if segmentation != "rle" and not config.formats & EITHER_FORMATS:
        raise UsageError("applies to COCO and NDJSON only", option="segmentation", remedy="add --format coco")
    if not config.polygon_formats:
        if tolerance is not None:
            raise UsageError(
                "applies to polygons only", option="tolerance", remedy="add --segmentation polygon, or a polygon format"
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
            raise UsageError(
                "not an area", option=name, value=value, remedy="pass pixels or a percentage, such as 0.5%"
            )
    given = [name for name in changed(cleaning) if name not in ("raw", "exclusive")]
    if cleaning.raw and given:
        raise UsageError("keeps masks as the model predicts them", option="raw", remedy=f"omit `{given[0]}`")
    if cleaning.largest_part and "min_region" in given:
        raise UsageError("--largest-part keeps only one region", remedy="omit --min-region")
    if cleaning.exclusive and config.multimask:
        raise UsageError("the three masks of a prompt overlap", option="exclusive", remedy="omit --multimask")


def _check_cutout(config: SegmentConfig) -> None:
    formats, cutout = config.formats, config.cutout
    if cutout.soft and "cutout" not in formats and not (cutout.background and "crop" in formats):
        raise UsageError("applies to cut-outs only", option="soft", remedy="add --format cutout")
    if cutout.soft and config.everything:
        raise UsageError("--everything does not support soft edges", remedy="omit --soft")
    if cutout.background is not None:
        if not formats & {"cutout", "crop"}:
            raise UsageError("applies to cut-outs and crops only", option="background", remedy="add --format cutout")
        rgb_of(cutout.background)


def rgb_of(color: str) -> tuple[int, int, int]:
    """Parse a CSS color as red, green and blue; a UsageError for anything else."""
    from PIL import ImageColor

    try:
        red, green, blue, *_ = ImageColor.getrgb(color)
    except ValueError:
        remedy = "pass a name or a hex value, such as white or #f0f0f0"
        raise UsageError("not a color", option="background", value=color, remedy=remedy) from None
    return red, green, blue


def _with_objects(config: SegmentConfig) -> SegmentConfig:
    """The config with the score threshold of `objects`, unless another is given."""
    prompts, detection = config.prompts, config.detection
    if not prompts.objects or detection.score_threshold is not None:
        return config
    return replace(config, detection=replace(detection, score_threshold=LIKELY_OBJECT))


def _check_prompts(config: SegmentConfig, inputs: Sequence[str]) -> None:
    prompts, detector = config.prompts, config.detection.detector
    files = [path for path in (prompts.boxes, prompts.points, prompts.coarse_masks) if path is not None]
    typed = read_typed(prompts)
    if typed and (files or prompts.salient or config.everything or detector is not None):
        name = "box" if prompts.box else "point"
        raise UsageError(
            f"--{name} cannot be combined with other prompts",
            remedy="omit --boxes, --points, --coarse-masks, --salient, --everything and --detector",
        )
    if prompts.box and prompts.box_format is not None:
        reason = "applies to files; --box takes corners in pixels"
        raise UsageError(reason, option="box_format", remedy="omit it")
    if prompts.images_json is not None and not files:
        reason = "applies to a COCO results list, and none is given"
        raise UsageError(reason, option="images_json", remedy="add --boxes")
    if not config.everything and (unused := changed(config.generator)):
        raise UsageError("applies to everything mode only", option=unused[0], remedy="add --everything")
    if config.everything:
        if files or prompts.salient or detector is not None:
            raise UsageError(
                "--everything takes no prompts",
                remedy="omit --boxes, --points, --coarse-masks, --salient and --detector",
            )
        if config.multimask:
            raise UsageError("--everything selects from the masks of a point by itself", remedy="omit --multimask")
        if config.windows == "on" and config.generator.crop_n_layers:
            reason = "--crop-n-layers has other crops"
            raise UsageError(reason, option="windows", value="on", remedy="omit one of them")
    if prompts.salient and files:
        raise UsageError(
            "--salient cannot be combined with prompts", remedy="omit --boxes, --points and --coarse-masks"
        )
    if prompts.salient and config.multimask:
        raise UsageError("--salient selects one mask", remedy="omit --multimask")
    if detector is not None and (prompts.salient or files):
        name = "like" if config.detection.like else "detector"
        raise UsageError(f"--{name} predicts the boxes", remedy="omit --boxes, --points, --coarse-masks and --salient")
    if detector is not None or prompts.salient or config.everything:
        check_no_files(prompts)
    is_prompted = bool(files or typed or prompts.salient or config.everything)
    if detector is None and is_prompted:
        check_no_detector(config.detection)
    if prompts.objects and (is_prompted or detector is not None or config.detection.like or config.multimask):
        raise UsageError(
            "--objects selects from the masks found without prompts",
            remedy="omit prompts, --salient, --everything, --detector, --like and --multimask",
        )
    if [*inputs, *files, prompts.images_json].count(STDIN) > 1:
        raise UsageError("stdin can only be read once: only one of INPUT and the prompt files may be -")


def check_no_detector(config: DetectorConfig) -> None:
    """Raise a UsageError for options that require a detector."""
    if unused := sorted(set(changed(config)) - {"score_threshold", "max_det"}):
        named = ", ".join(f"`{name}`" for name in unused)
        raise UsageError("applies to a detector, and none is used", value=named, remedy="add --detector, or omit it")


def check_no_files(config: PromptConfig) -> None:
    """Raise a UsageError for options that require files of prompts."""
    for name in ("box_format", "crowds"):
        if getattr(config, name) is not None:
            raise UsageError("applies to files of prompts, and none is given", option=name, remedy="add --boxes")


def _check_engine(config: SegmentConfig) -> None:
    other = "engine" if config.engine == "ray" else "device" if config.device != "auto" else None
    if config.devices is not None and other is not None:
        raise UsageError(f"cannot be combined with --{other}", option="devices", remedy="omit one of them")
    unused = "address" if config.address is not None else "actors" if config.actors is not None else None
    if config.engine == "local" and unused is not None:
        raise UsageError("applies to Ray clusters only", option=unused, remedy="add --engine ray")
    if config.compile and not any(map(shutil.which, COMPILERS)):
        raise UsageError("needs a C or C++ compiler", option="compile", remedy="install g++, or omit it")
