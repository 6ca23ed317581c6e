"""The options of a detector, which `detect` and `segment` share."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..configs import CONF, IOU, DetectorConfig, ObjectsConfig, digest
from ..detection.files import ASSETS, EMBEDDED, detector_file
from ..errors import UsageError
from .plain import complete_names

if TYPE_CHECKING:
    import torch

    from ..detection.detector import Detector
    from ..segment_plan import DetectorPlan
    from .console import ConsoleReporter

DETECTOR = "Detector"

DetectorOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|PATH",
        rich_help_panel=DETECTOR,
        help="What finds the objects: a model of ultralytics as .pt or .onnx, or a name such as yolo11n.pt; object, "
        "the one in this package, unless given.",
        autocompletion=complete_names(lambda: [EMBEDDED, *sorted(ASSETS)]),
    ),
]
ConfOption = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        min=0,
        max=1,
        rich_help_panel=DETECTOR,
        help=f"Drop boxes that score less; {CONF}, or what the detector asks for.",
    ),
]
IouOption = Annotated[
    float | None,
    typer.Option(
        metavar="IOU",
        min=0,
        max=1,
        rich_help_panel=DETECTOR,
        help=f"Of boxes that overlap more, keep one; {IOU}, or what the detector asks for.",
    ),
]
ClassesOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME,...",
        rich_help_panel=DETECTOR,
        help="Only these classes, by name, or by number from 0; repeatable. Of YOLO-World and YOLOE any words.",
    ),
]
MaxDetOption = Annotated[int, typer.Option(metavar="N", min=1, rich_help_panel=DETECTOR, help="Most boxes an image.")]
ImgszOption = Annotated[
    int | None,
    typer.Option(metavar="PIXELS", min=32, rich_help_panel=DETECTOR, help="Longest side it sees; its own by default."),
]
HalfOption = Annotated[bool, typer.Option("--half", rich_help_panel=DETECTOR, help="Detect in float16, on a GPU.")]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust-detector", rich_help_panel=DETECTOR, help="Load a .pt of unknown origin, which can run code."
    ),
]


def load_detector(
    name: str,
    settings: DetectorConfig,
    device: torch.device,
    reporter: ConsoleReporter,
    *,
    trusted: bool,
    may_fetch: bool,
) -> tuple[DetectorPlan, Detector]:
    """The detector of a command line, how to make it, and a line that says which it is."""
    path = detector_file(name, trusted=trusted, may_fetch=may_fetch)

    from ..segment_plan import DetectorPlan

    plan = DetectorPlan(path, settings, trusted)
    detector = plan.build(device, may_fetch=may_fetch)
    count = len(detector.config.classes or detector.categories)
    reporter.say(f"detector {name} on {device}, {count} {'class' if count == 1 else 'classes'}")
    return plan, detector


def found_identity(detector: Detector, objects: ObjectsConfig | None) -> str:
    """What the objects of a run depend on: the detector, and how those that it does not find are looked for."""
    return detector.identity if objects is None else f"{detector.identity}+{digest(asdict(objects))}"


def check_unused(settings: DetectorConfig) -> None:
    """Raise a UsageError where options are given that no detector will see."""
    default = asdict(DetectorConfig())
    idle = [f"`{name}`" for name, value in asdict(settings).items() if value != default[name]]
    if idle:
        raise UsageError(
            "for a detector, and none is used", value=", ".join(idle), remedy="see --score-threshold and --max-boxes"
        )
