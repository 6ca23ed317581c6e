"""Options about where a run computes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import UsageError
from ..inference.device import Compute, resolve_compute
from .run_options import RUN

if TYPE_CHECKING:
    import torch

    from ..batch import work as batch
    from ..batch.job import Job
    from ..detection.detector import Detector
    from ..segment_plan import SegmentPlan

Engine = Literal["local", "ray"]

EngineOption = Annotated[
    Engine, typer.Option(rich_help_panel=RUN, help="This process, or the actors of a Ray cluster.")
]
AddressOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", rich_help_panel=RUN, help="Of the Ray cluster; unless given, one starts here."),
]
ActorsOption = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, rich_help_panel=RUN, help="Processes on the Ray cluster; all it has room for."),
]
DevicesOption = Annotated[
    str | None,
    typer.Option(
        metavar="all|N,N…",
        rich_help_panel=RUN,
        help="GPUs of this machine, a process on each, instead of one --device.",
    ),
]


def check_engine(engine: Engine, address: str | None, actors: int | None, devices: str | None, device: str) -> None:
    """Raise a UsageError where options of Ray are given without it, or several that say where to compute."""
    other = "engine" if engine == "ray" else "device" if device != "auto" else None
    if devices is not None and other is not None:
        raise UsageError(f"says where to compute, and so does --{other}", option="devices", remedy="give one of them")
    idle = "address" if address is not None else "actors" if actors is not None else None
    if engine == "local" and idle is not None:
        raise UsageError("for a Ray cluster", option=idle, remedy="pass --engine ray too")


def resolve_places(device: str, devices: str | None, dtype: str) -> tuple[Compute, list[torch.device]]:
    """Where to compute, with the first of `--devices` for all of them, and these.

    Raises:
        UsageError: no such device or precision.
    """
    from ..inference.device import resolve_devices

    places = [] if devices is None else resolve_devices(devices)
    return resolve_compute(str(places[0]) if places else device, dtype), places


def make_engine(
    plan: SegmentPlan,
    job: Job,
    finder: Detector | None,
    workers: int,
    *,
    devices: list[torch.device],
    engine: Engine,
    address: str | None,
    actors: int | None,
) -> batch.Engine:
    """What has the images of a job worked on.

    Args:
        finder: the detector of the plan, loaded, if it has one.
        workers: threads that read, and as many that write.
        devices: of `--devices`.

    Raises:
        HqsamError: the models cannot be loaded, or there is no cluster.
    """
    from ..batch.local import LocalEngine
    from ..batch.pipeline import make_worker
    from ..batch.process_engine import ProcessEngine
    from ..batch.ray_engine import RayEngine

    if engine == "ray":
        build = partial(plan.worker, job.without_images())
        return RayEngine(build, address, actors, on_gpu=plan.device.type != "cpu")
    if len(devices) > 1:
        plans = (replace(plan, device=device) for device in devices)
        return ProcessEngine([partial(own.worker, job.without_images()) for own in plans], workers)
    return LocalEngine(make_worker(job, plan.build(finder)), workers)
