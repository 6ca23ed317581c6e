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

hqsam report hqsam_out --against other_out
"""


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Output folder of hqsam segment.")],
    images: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the images, if they were moved after the run."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Another run on the same images: also write where the masks differ most."),
    ] = None,
    workers: WorkersOption = 4,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write an HTML report of a run, with the most suspicious masks first: DIR/report/index.html.

    DIR/report/instances.csv has a row per mask. With --against, DIR/report/against/index.html shows masks of both runs
    side by side, those without a counterpart first.
    """
    from ..formats.values import identifier
    from ..report.against import compare_runs, write_against
    from ..report.page import AGAINST, write_report
    from ..report.photos import read_photos
    from ..results.marks import REPORT
    from ..results.stream import open_results

    reporter = ConsoleReporter(quiet=quiet, verbose=verbose)
    runs = [folder] if against is None else [folder, against]
    for own in runs:
        if not own.is_dir():
            raise NoInputError("no such folder", file=own, remedy="pass the output folder of hqsam segment")
    every = [open_results(own) for own in runs]
    for text in (text for results in every for problems in results.problems for text in problems):
        reporter.on_problem(text)
    photos, *others = [read_photos(results, images) for results in every]
    pages = []
    try:
        page, missing = write_report(
            every[0], photos, folder, max_pixels=max_pixels, workers=workers, progress=reporter, against=against
        )
        pages.append(page)
        if others:
            names = [{identifier(own["id"]): str(own["name"]) for own in results.categories} for results in every]
            compared = compare_runs(photos, others[0])
            place, titles = folder / REPORT / AGAINST, (str(folder), str(against))
            page = write_against(
                compared, place, titles, (names[0], names[1]), max_pixels=max_pixels, progress=reporter
            )
            pages.append(page)
            if compared.alone:
                reporter.say(f"images of one run, failed, or of two sizes, not compared: {compared.alone}", "yellow")
    finally:
        reporter.close()
    if missing:
        reporter.say(
            f"images that cannot be shown: {missing} of {len(photos)}; pass their folder as `images`", "yellow"
        )
    for page in pages:
        reporter.say(f"wrote {page}", "green")
