"""A run that is ready to begin, and where its results and its journal lie."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ..configs import JOURNAL, JOURNAL_FOLDER
from ..errors import HqsamError, UsageError
from ..io.address_folder import AddressFolder
from ..io.atomic import check_can_write
from ..progress import Progress
from .job import Job, Summary
from .pipeline import run_images
from .plan import Plan
from .work import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun:
    """What a run will do.

    Attributes:
        engine: loads the models, and works on the images.
        plan: what is done and what is left.
        lost: inputs or prompts were left out, for which the run ends with exit code 3.
        strict: so it does where prompts do not lie in their images.
        has_files: prompts come from files.
        prompts: what prompts the images, for people.
    """

    job: Job
    engine: Callable[[], Engine]
    plan: Plan
    lost: bool
    prompts: str
    strict: bool = False
    has_files: bool = False

    def run(self, progress: Progress) -> Summary:
        """Do it.

        Raises:
            HqsamError: models cannot be loaded, results cannot be written, no prompt lies in its image, or too many
                images would lose their results.
        """
        self.plan.check_removal(prune=self.job.prune)
        if self.job.journal is not None:
            _check_writable(self.job.journal)
        summary = run_images(self.job, self.engine(), progress)
        has_results = summary.masks or summary.already_done or summary.failed or summary.interrupted
        if self.has_files and summary.lost and not has_results:
            raise HqsamError(f"no prompt lies inside its image ({summary.lost} skipped)", remedy="see above")
        summary.left_out = self.lost or (self.strict and summary.lost > 0)
        return summary


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
            raise UsageError("applies to an output at a URL only", option="journal", value=folder, remedy="omit it")
        return output.with_name(f"{output.name}.{JOURNAL}") if beside else output / JOURNAL
    if folder is not None:
        return Path(folder, JOURNAL)
    return f"{output.rstrip('/')}{'.' if beside else '/'}{JOURNAL_FOLDER}"


def made_by() -> dict[str, str]:
    """The command and the time, for those who find its results."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"command": shlex.join(["hqsam", *sys.argv[1:]]), "date_created": now}


def _check_writable(journal: Path | str) -> None:
    """Raise an HqsamError where nothing can be written to where a journal is kept."""
    if isinstance(journal, Path):
        check_can_write(journal)
    else:
        AddressFolder(journal).check_can_write()
