"""Options about the shape of masks in the results."""

from __future__ import annotations

from typing import Annotated

import typer

from ..configs import PolygonConfig, SegmentationKind
from ..errors import UsageError
from .options import RESULTS

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
