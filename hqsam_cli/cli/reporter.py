"""Progress, summary and exit code of a run on the command line; progress goes to stderr only."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from ..errors import HqsamError
from .console import print_table, sentence, stderr_console

if TYPE_CHECKING:
    from ..batch.job import Summary
    from ..batch.pipeline import PreparedRun
    from ..records import ImageRecord

MOST_PROBLEMS = 20
# Most important first, since a narrow terminal cuts off the right end.
BAR = "{percentage:3.0f}% {n_fmt}/{total_fmt}{postfix}, {remaining} left, {rate_fmt} |{bar}|"
SECONDS_BETWEEN_LINES = 30.0


def _rate(each: float, unit: str) -> str:
    """Speed, from the seconds per unit."""
    return f"{each:.1f} s each" if each > 1 else f"{1 / max(each, 1e-9):.1f} {unit}s/s"


class ConsoleReporter:
    """`Progress` on a terminal: a progress bar and messages.

    Args:
        quiet: print warnings and errors only.
        verbose: print a line for every image.
        results: name of the results of an image, in the plural.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False, results: str = "masks") -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.results = results
        self.console = stderr_console()
        self.bar: Any = None
        self.count = self.problems = self.failed = 0
        self.total = self.done = self.before = 0
        self.unit = "image"
        self.began = self.spoke = time.monotonic()

    def say(self, text: str, style: str = "", *, verbose: bool = False) -> None:
        """See `Progress`."""
        if not self.quiet and (self.verbose or not verbose):
            self._line(Text.assemble(("hqsam: ", "dim"), (sentence(text), style)))

    def on_start(self, total: int, done: int, *, title: str = "", unit: str = "image") -> None:
        """See `Progress`."""
        self._remove_bar()
        if title:
            self.say(f"{title}: {total} {unit}s")
        if done:
            self.say(f"{done} of {total} {unit}s already done" + ("; continuing with the rest" if done < total else ""))
        self.total, self.done, self.unit = total, done, unit
        self.began = self.spoke = time.monotonic()
        self.before, self.count, self.failed = done, 0, 0
        if not self.quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(
                total=total, initial=done, unit=f" {unit}s", bar_format=BAR, dynamic_ncols=True, smoothing=0.1
            )

    def on_record(self, record: ImageRecord) -> None:
        """See `Progress`."""
        self.count += len(record.annotations)
        if record.failure is not None:
            self.on_failure(str(record.failure))
        elif self.verbose:
            self.say(f"{record.file_name}: {len(record.annotations)} {self.results}")
        self.advance(f"{self.count} {self.results}")

    def on_part(self, fraction: float) -> None:
        """See `Progress`; without a terminal, prints a line every 30 seconds."""
        if self.bar is not None:
            self.bar.set_postfix_str(f"{fraction:.0%} of the next")
        elif time.monotonic() - self.spoke > SECONDS_BETWEEN_LINES:
            self.spoke = time.monotonic()
            self.say(f"{self.unit} {self.done + 1} of {self.total}: {fraction:.0%}")

    def advance(self, figures: str = "") -> None:
        """See `Progress`; without a terminal, prints a line every 30 seconds."""
        self.done += 1
        if self.failed:
            figures = f"{self.failed} failed, {figures}" if figures else f"{self.failed} failed"
        if self.bar is not None:
            if figures:
                self.bar.set_postfix_str(figures, refresh=False)
            self.bar.update()
        elif time.monotonic() - self.spoke > SECONDS_BETWEEN_LINES:
            self.spoke = time.monotonic()
            each = (self.spoke - self.began) / max(self.done - self.before, 1)
            left = timedelta(seconds=round(each * (self.total - self.done)))
            shown = f", {figures}" if figures else ""
            self.say(f"{self.unit} {self.done} of {self.total}{shown}, {_rate(each, self.unit)}, {left} left")

    def on_failure(self, text: str) -> None:
        """An image that failed; printed even if quiet."""
        self.failed += 1
        self._line(Text.assemble(("hqsam: failed: ", "red"), sentence(text)))

    def on_problem(self, text: str) -> None:
        """A warning; printed even if quiet, but only the first 20 unless verbose."""
        self.problems += 1
        if self.verbose or self.problems <= MOST_PROBLEMS:
            self._warn(text)

    def on_end(self, summary: Summary, images: int) -> None:
        """Print the summary of a run."""
        rate = summary.done / summary.seconds if summary.seconds else 0.0
        parts = [f"{summary.done} of {images} images", f"{summary.masks} {self.results}"]
        parts += [f"{summary.empty} of them empty"] if summary.empty else []
        parts += [f"{summary.already_done} already done"] if summary.already_done else []
        parts += [f"{len(summary.failed)} failed"] if summary.failed else []
        parts += [f"{summary.failed_before} failed earlier"] if summary.failed_before else []
        parts += [f"{summary.seconds:.1f} s", f"{rate:.2f} images/s"]
        self.say(("interrupted: " if summary.interrupted else "") + ", ".join(parts))
        for line in summary.polygons.lines():
            self.say(line)

    def close(self) -> None:
        """Remove the bar, and print how many messages were suppressed."""
        self._remove_bar()
        if not self.verbose and self.problems > MOST_PROBLEMS:
            self._warn(f"{self.problems - MOST_PROBLEMS} more such messages; --verbose shows all")

    def _warn(self, text: str) -> None:
        self._line(Text.assemble(("hqsam: ", "dim"), (sentence(text), "yellow")))

    def _remove_bar(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _line(self, text: Text) -> None:
        if self.bar is not None:
            self.bar.clear()
        self.console.print(text)
        if self.bar is not None:
            self.bar.refresh()


def run_and_exit(run: PreparedRun, reporter: ConsoleReporter, *, dry_run: bool, **more: str) -> None:
    """Do a run, or print what it would do; exit with its exit code.

    Args:
        more: further rows of the table of `--dry-run`.

    Raises:
        HqsamError: results cannot be written, or too many images failed.
    """
    from ..batch.object_journal import has_journal
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
            "redone earlier": plan.redone,
            "of earlier commands": plan.others,
        }
        if job.config.overwrite and job.journal is not None and has_journal(job.journal):
            rows.append(("overwritten", f"all earlier results in {output}"))
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
