"""`hqsam report`: an HTML report of a run, with masks sorted by suspicion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..configs import DEFAULT_MAX_PIXELS
from ..errors import NoInputError
from .options import MaxPixelsOption, QuietOption, VerboseOption, WorkersOption
from .reporter import ConsoleReporter

EPILOG = """
[bold]Examples[/bold]

hqsam report hqsam_out

hqsam report hqsam_out --images ./imgs
"""


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Output folder of hqsam segment.")],
    images: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the images, if they were moved after the run."),
    ] = None,
    workers: WorkersOption = 4,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write an HTML report of a run, with the most suspicious masks first: DIR/report/index.html.

    DIR/report/instances.csv has a row per mask.
    """
    from ..report.page import write_report
    from ..report.photos import read_photos
    from ..results.stream import open_results

    reporter = ConsoleReporter(quiet=quiet, verbose=verbose)
    if not folder.is_dir():
        raise NoInputError("no such folder", file=folder, remedy="pass the output folder of hqsam segment")
    results = open_results(folder)
    for text in (text for problems in results.problems for text in problems):
        reporter.on_problem(text)
    photos = read_photos(results, images)
    try:
        page, missing = write_report(results, photos, folder, max_pixels=max_pixels, workers=workers, progress=reporter)
    finally:
        reporter.close()
    if missing:
        reporter.say(
            f"images that cannot be shown: {missing} of {len(photos)}; pass their folder as `images`", "yellow"
        )
    reporter.say(f"wrote {page}", "green")
