"""A run on the command line: start, summary and exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ..errors import HqsamError
from .console import print_table

if TYPE_CHECKING:
    from ..batch.pipeline import PreparedRun
    from .console import ConsoleReporter


def run_and_exit(run: PreparedRun, reporter: ConsoleReporter, *, dry_run: bool, **more: str) -> None:
    """Do a run, or print what it would do; exit with its exit code.

    Args:
        more: further rows of the table of `--dry-run`.

    Raises:
        HqsamError: results cannot be written, or too many images failed.
    """
    from ..formats.values import some_of

    job = run.job
    if dry_run:
        output = "stdout" if job.output is None else str(job.output)
        plan, count, done = run.plan, len(job.images), len(run.plan.done)
        rows = [("images", str(count)), ("done", str(done)), ("left", str(count - done))]
        named = {
            "changed": plan.changed,
            "rewritten": plan.rewritten,
            "without prompts": plan.emptied,
            "not in prompt files": plan.unmentioned,
            "gone": plan.gone,
        }
        rows += [(what, f"{len(names)} ({some_of(names)})") for what, names in named.items() if names]
        rows += [
            ("prompts", run.describe()),
            *more.items(),
            ("output", output),
            ("formats", ", ".join(sorted(job.formats))),
        ]
        print_table((), rows)
        plan.check_removal(prune=job.config.prune)
        raise typer.Exit(3 if run.lost else 0)
    try:
        summary = run.run(reporter)
    finally:
        reporter.close()
    reporter.on_end(summary, len(job.images))
    if summary.interrupted and job.output is not None:
        reporter.say("run the same command again to continue")
    for path in summary.files:
        reporter.say(f"wrote {path}", "green")
    if summary.stopped:
        raise HqsamError(
            f"stopped: {len(summary.failed)} images failed, more than --max-errors allows",
            remedy="run the same command again to continue without them; --retry-failed retries them",
        )
    raise typer.Exit(summary.exit_code)
