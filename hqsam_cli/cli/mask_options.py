"""Options about the formats of results, and the shape of masks in them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ..configs import CleanConfig, CutoutConfig, PolygonConfig, SegmentationKind
from ..errors import UsageError
from ..io.places import is_address
from .options import RESULTS, STDIN

if TYPE_CHECKING:
    from ..formats import MakeWriter

AREA = re.compile(r"\d+(\.\d+)?%?")

FormatsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        "-f",
        metavar="coco|png|idmap|ndjson|yolo-seg|labelme|voc|labelstudio|cvat|cutout|crop",
        rich_help_panel=RESULTS,
        help="Repeatable; coco and png unless given.",
    ),
]
MinRegionOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|P%",
        rich_help_panel=RESULTS,
        help="Drop parts of a mask of fewer pixels, or of a smaller share of it, but for the largest.",
    ),
]
FillHolesOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|P%", rich_help_panel=RESULTS, help="Fill holes of fewer pixels, or of a smaller share of the mask."
    ),
]
LargestPartOption = Annotated[
    bool, typer.Option("--largest-part", rich_help_panel=RESULTS, help="Keep the largest part of a mask alone.")
]
SmoothOption = Annotated[
    bool, typer.Option("--smooth", rich_help_panel=RESULTS, help="Smooth outlines; what is thin stays.")
]
SegmentationOption = Annotated[
    SegmentationKind,
    typer.Option(
        rich_help_panel=RESULTS,
        help="Masks in COCO and NDJSON: run lengths, polygons, or polygons with the run lengths beside them.",
    ),
]
ToleranceOption = Annotated[
    float | None,
    typer.Option(
        metavar="PIXELS",
        min=0,
        rich_help_panel=RESULTS,
        help=f"How far polygons may be from the outline of a mask: {PolygonConfig().tolerance}.",
    ),
]
SoftOption = Annotated[
    bool,
    typer.Option(
        "--soft", rich_help_panel=RESULTS, help="Cut-outs are as opaque as the model is sure, with soft borders."
    ),
]
OverlayOption = Annotated[
    bool,
    typer.Option("--overlay", rich_help_panel=RESULTS, help="Pictures of the masks too: overlays/<image>.jpg."),
]
ThumbnailOption = Annotated[
    bool,
    typer.Option(
        "--thumbnail", rich_help_panel=RESULTS, help="Small photos too, for hqsam report: thumbnails/<image>.jpg."
    ),
]
BackgroundOption = Annotated[
    str | None,
    typer.Option(
        metavar="COLOR",
        rich_help_panel=RESULTS,
        help="What is around objects in cut-outs and crops: white, #f0f0f0, …; nothing, and the photo, unless given.",
    ),
]


def chosen_formats(output: str, formats: list[str] | None, **pictures: bool) -> frozenset[str]:
    """What to write; a UsageError where there is no such format, or where it cannot go to stdout.

    Args:
        pictures: formats that have options of their own, and whether they are wanted.
    """
    from ..formats import WRITERS

    check_formats(formats or (), WRITERS)
    wanted = [name for name, is_wanted in pictures.items() if is_wanted]
    if output != STDIN:
        return frozenset([*(formats or ("coco", "png")), *wanted])
    if wanted:
        raise UsageError("--output - writes NDJSON alone", remedy=f"leave --{wanted[0]} out, or give a folder")
    if any(name != "ndjson" for name in formats or ()):
        raise UsageError("--output - writes NDJSON alone", remedy="leave --format out, or give a folder")
    return frozenset({"ndjson"})


def check_formats(formats: Sequence[str], known: Collection[str]) -> None:
    """Raise a UsageError where there is no such format."""
    for name in formats:
        if name not in known:
            raise UsageError("no such format", option="format", value=name, remedy=f"there are {', '.join(known)}")


def check_places(formats: frozenset[str], output: str, images_elsewhere: bool) -> None:
    """Raise a UsageError where files of a format would have to say where images are, and cannot."""
    if "yolo-seg" in formats and images_elsewhere:
        raise UsageError("yolo-seg links to images that are files", remedy="fetch them first, or pass another --format")
    beside = sorted(formats & {"yolo-seg", "labelme"})
    if beside and is_address(output):
        raise UsageError(
            f"files of {beside[0]} say where images are from there, and {output} is an address",
            remedy="give a folder, or pass another --format",
        )


def polygon_config(
    formats: frozenset[str], segmentation: SegmentationKind, tolerance: float | None
) -> PolygonConfig | None:
    """How masks become polygons; None where nothing that is written has any."""
    from ..formats import POLYGON_FORMATS

    if segmentation != "rle" and not formats & {"coco", "ndjson"}:
        raise UsageError("is for COCO and NDJSON", option="segmentation", remedy="pass --format coco too")
    if segmentation == "rle" and not formats & POLYGON_FORMATS:
        if tolerance is not None:
            raise UsageError(
                "is for polygons", option="tolerance", remedy="pass --segmentation polygon, or a format that has them"
            )
        return None
    return PolygonConfig(segmentation=segmentation, **({} if tolerance is None else {"tolerance": tolerance}))


def clean_config(
    min_region: str | None, fill_holes: str | None, largest_part: bool, smooth: bool
) -> CleanConfig | None:
    """How masks are cleaned; None where nobody asks for it."""
    for option, value in (("min_region", min_region), ("fill_holes", fill_holes)):
        if value is not None and not AREA.fullmatch(value):
            raise UsageError("is no area", option=option, value=value, remedy="give pixels, or a share such as 0.5%")
    if largest_part and min_region is not None:
        raise UsageError("--largest-part drops all parts but one", remedy="leave --min-region out")
    config = CleanConfig(smooth=smooth, fill_holes=fill_holes, min_region=min_region, largest_part=largest_part)
    return None if config == CleanConfig() else config


def cutout_config(formats: frozenset[str], soft: bool, background: str | None, everything: bool) -> CutoutConfig | None:
    """How objects are cut out; None where nobody says."""
    if soft and "cutout" not in formats and not (background and "crop" in formats):
        raise UsageError("is for cut-outs", option="soft", remedy="pass --format cutout too")
    if soft and everything:
        raise UsageError("--everything has no soft borders", remedy="leave --soft out")
    if background is not None:
        if not formats & {"cutout", "crop"}:
            raise UsageError("is for cut-outs and crops", option="background", remedy="pass --format cutout too")
        _color(background)
    config = CutoutConfig(soft=soft, background=background)
    return None if config == CutoutConfig() else config


def check_compare(compare_sam: bool, everything: bool, mask_output: str) -> None:
    """Raise a UsageError where SAM's masks have none of HQ-SAM to be beside."""
    if compare_sam and (everything or mask_output == "sam"):
        reason = "compares the masks of prompts with those of HQ-SAM"
        raise UsageError(reason, option="compare_sam", remedy="leave out --everything and --mask-output sam")


def mask_writers(background: str | None = None) -> dict[str, MakeWriter]:
    """The writers of `formats`, told what they cannot know of a run."""
    from ..formats import WRITERS
    from ..formats.cutouts import CropWriter, CutoutWriter
    from ..report.pictures import OverlayWriter
    from ..report.thumbnails import ThumbnailWriter

    around = None if background is None else _color(background)
    cut: dict[str, MakeWriter] = {
        "cutout": partial(CutoutWriter, background=around),
        "crop": partial(CropWriter, background=around),
    }
    return {**WRITERS, **cut, "overlay": OverlayWriter, "thumbnail": ThumbnailWriter}


def _color(text: str) -> tuple[int, int, int]:
    """Red, green and blue of a color as the web writes it."""
    from PIL import ImageColor

    try:
        red, green, blue, *_ = ImageColor.getrgb(text)
    except ValueError:
        raise UsageError(
            "no color", option="background", value=text, remedy="give one such as white, or #f0f0f0"
        ) from None
    return red, green, blue
