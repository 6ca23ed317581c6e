"""Options about which images of a run are done, and how many may fail."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..configs import JOURNAL, JOURNAL_FOLDER
from ..errors import HqsamError, UsageError

if TYPE_CHECKING:
    from ..batch.job import Job, Summary
    from ..batch.work import Engine
    from .console import ConsoleReporter

RUN = "Long runs"

ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        rich_help_panel=RUN,
        help="Only part I of N of the images, chosen by their names; hqsam merge joins the parts.",
    ),
]
RetryFailedOption = Annotated[
    bool,
    typer.Option(
        "--retry-failed", rich_help_panel=RUN, help="Try images again that failed before and are what they were."
    ),
]
MaxErrorsOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|P%", rich_help_panel=RUN, help="Stop, with exit code 1, when more images than that have failed."
    ),
]
FailFastOption = Annotated[
    bool, typer.Option("--fail-fast", rich_help_panel=RUN, help="Stop at the first image that fails: --max-errors 0.")
]
JournalOption = Annotated[
    str | None,
    typer.Option(
        "--journal",
        metavar="DIR",
        rich_help_panel=RUN,
        help="Folder for the journal of an --output at an address; unless given, it is kept there.",
    ),
]


def journal_place(output: Path | str, folder: str | None, *, beside: bool = False) -> Path | str:
    """Where the journal of a run is kept.

    Args:
        folder: of `--journal`.
        beside: the output is one file, whose journal lies beside it; else it lies in the folder.

    Raises:
        UsageError: the results are no objects, and their journal lies with them.
    """
    if isinstance(output, Path):
        if folder is not None:
            raise UsageError(
                "is for an output at an address", option="journal", value=folder, remedy="leave it out: OUTPUT has one"
            )
        return output.with_name(f"{output.name}.{JOURNAL}") if beside else output / JOURNAL
    if folder is not None:
        return Path(folder, JOURNAL)
    return f"{output.rstrip('/')}{'.' if beside else '/'}{JOURNAL_FOLDER}"


def check_output(journal: Path | str) -> None:
    """Raise an HqsamError where nothing can be written to where a journal is kept."""
    from ..io.address_folder import AddressFolder
    from ..io.atomic import check_can_write

    if isinstance(journal, Path):
        check_can_write(journal)
    else:
        AddressFolder(journal).check_can_write()


def errors_allowed(max_errors: str | None, fail_fast: bool, images: int) -> int | None:
    """How many images may fail, of so many; None where all of them may.

    Raises:
        UsageError: that is no number and no share, or both are given.
    """
    if fail_fast and max_errors is not None:
        raise UsageError("--fail-fast is --max-errors 0", remedy="give one of them")
    if fail_fast:
        return 0
    if max_errors is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", max_errors)
    if match is None or (not match[2] and "." in match[1]) or (match[2] and float(match[1]) > 100):
        raise UsageError("neither a number nor a share", option="max_errors", value=max_errors, remedy="as 20 or 0.5%")
    return int(float(match[1]) / 100 * images) if match[2] else int(match[1])


def run_and_tell(job: Job, engine: Engine, reporter: ConsoleReporter) -> Summary:
    """Run a job, and say how it ended.

    Raises:
        HqsamError: it cannot be written, or too many images failed.
    """
    from ..batch.pipeline import run_images

    try:
        summary = run_images(job, engine, reporter)
    finally:
        reporter.close()
    reporter.on_end(summary, len(job.images))
    if summary.interrupted and job.output is not None:
        reporter.say("the same command continues")
    for path in summary.files:
        reporter.say(f"wrote {path}", "green")
    if summary.stopped:
        raise HqsamError(
            f"stopped: {len(summary.failed)} images failed, which is more than --max-errors or --fail-fast allows",
            remedy="the same command continues without them, --retry-failed tries them again",
        )
    return summary
