"""A prepared run, and the location of its journal."""

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
    """A run that is ready to start.

    Attributes:
        engine: loads the models, and processes the images.
        outputs: its writers, if it writes any files.
        plan: images that are done or left.
        lost: inputs or prompts were skipped, so that the exit code is 3.
        strict: prompts outside their images also make the exit code 3.
        has_files: prompts come from files.
        describe: returns a description of the prompts.
    """

    job: Job
    outputs: Outputs | None
    engine: Callable[[], Engine]
    plan: Plan
    lost: bool
    describe: Callable[[], str]
    strict: bool = False
    has_files: bool = False

    def run(self, progress: Progress) -> Summary:
        """Run the job.

        Raises:
            HqsamError: models cannot be loaded, results cannot be written, no prompt is inside its image, or too many
                images would lose their results.
        """
        self.plan.check_removal(prune=self.job.prune)
        if self.job.journal is not None:
            _check_writable(self.job.journal)
        summary = run_images(self.job, self.outputs, self.engine(), progress)
        has_results = summary.masks or summary.already_done or summary.failed or summary.interrupted
        if self.has_files and summary.lost and not has_results:
            raise HqsamError(f"no prompt lies inside its image ({summary.lost} skipped)", remedy="see above")
        summary.left_out = self.lost or (self.strict and summary.lost > 0)
        return summary


def journal_place(output: Path | str, folder: str | None, *, beside: bool = False) -> Path | str:
    """Location of a run's journal.

    Args:
        folder: of `--journal`.
        beside: the output is a file, with its journal beside it; else the journal is in the output folder.

    Raises:
        UsageError: `--journal` is given for a local output.
    """
    if isinstance(output, Path):
        if folder is not None:
            raise UsageError("applies to an output at a URL only", option="journal", value=folder, remedy="omit it")
        return output.with_name(f"{output.name}.{JOURNAL}") if beside else output / JOURNAL
    if folder is not None:
        return Path(folder, JOURNAL)
    return f"{output.rstrip('/')}{'.' if beside else '/'}{JOURNAL_FOLDER}"


def _check_writable(journal: Path | str) -> None:
    """Raise an HqsamError if the journal cannot be written."""
    if isinstance(journal, Path):
        check_can_write(journal)
    else:
        AddressFolder(journal).check_can_write()
