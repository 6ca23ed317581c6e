"""The options of everything mode, under the names of SAM's automatic mask generator."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from ..configs import EverythingConfig
from ..errors import UsageError

EVERYTHING = "Everything"
DEFAULTS = EverythingConfig()


def _option(help_text: str, metavar: str = "X", *, low: float | None = 0, high: float | None = None) -> Any:
    return typer.Option(metavar=metavar, min=low, max=high, rich_help_panel=EVERYTHING, help=help_text)


EverythingOption = Annotated[
    bool,
    typer.Option(
        "--everything", rich_help_panel=EVERYTHING, help="All there is: masks at a grid of points, without prompts."
    ),
]
PointsPerSideOption = Annotated[int, _option("Points a side of the grid.", "N", low=1)]
PredIouOption = Annotated[float, _option("Drop masks whose predicted IoU is not over it.", low=None)]
StabilityOption = Annotated[
    float, _option("Drop masks that change more when the threshold of the logits moves.", high=1)
]
OffsetOption = Annotated[float, _option("How far that threshold moves, up and down.")]
BoxNmsOption = Annotated[float, _option("Of masks whose boxes overlap more, keep the surest.", high=1)]
CropLayersOption = Annotated[int, _option("Look at crops too: so many layers, each with smaller ones.", "N", high=4)]
CropNmsOption = Annotated[float, _option("As --box-nms-thresh, between crops.", high=1)]
CropOverlapOption = Annotated[float, _option("How far crops overlap.", high=1)]
DownscaleOption = Annotated[int, _option("Fewer points a side in each layer of crops, by this.", "N", low=1)]
RegionAreaOption = Annotated[int, _option("Take smaller parts and holes out of masks.", "PIXELS")]


def check_no_everything(config: EverythingConfig) -> None:
    """Raise a UsageError where options are given that only everything mode has."""
    default = asdict(DEFAULTS)
    idle = [name for name, value in asdict(config).items() if value != default[name]]
    if idle:
        raise UsageError("for everything mode", option=idle[0], remedy="pass --everything too")
