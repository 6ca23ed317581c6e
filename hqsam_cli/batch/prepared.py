"""A run that is ready to begin, and where its results and its journal lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import HqsamError, UsageError
from ..formats.outputs import Outputs
from ..io.address_folder import AddressFolder
from ..io.atomic import check_can_write
from ..io.run_folder import JOURNAL, JOURNAL_FOLDER
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
        outputs: its writers, if it writes any files.
        plan: what is done and what is left.
        lost: inputs or prompts were left out, for which the run ends with exit code 3.
        strict: so it does where prompts do not lie in their images.
        has_files: prompts come from files.
        prompts: what prompts the images, for people.
    """

    job: Job
    outputs: Outputs | None
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
        summary = run_images(self.job, self.outputs, self.engine(), progress)
        has_results = summary.masks or summary.already_done or summary.failed or summary.interrupted
        if self.has_files and summary.lost and not has_results:
            raise HqsamError(f"of the prompts not one lies in its image: {summary.lost} are lost", remedy="see above")
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
            raise UsageError(
                "is for an output at an address", option="journal", value=folder, remedy="leave it out: OUTPUT has one"
            )
        return output.with_name(f"{output.name}.{JOURNAL}") if beside else output / JOURNAL
    if folder is not None:
        return Path(folder, JOURNAL)
    return f"{output.rstrip('/')}{'.' if beside else '/'}{JOURNAL_FOLDER}"


def _check_writable(journal: Path | str) -> None:
    """Raise an HqsamError where nothing can be written to where a journal is kept."""
    if isinstance(journal, Path):
        check_can_write(journal)
    else:
        AddressFolder(journal).check_can_write()
