"""Messages of one line, progress bars and tables; messages and progress go to stderr only."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import redacted

if TYPE_CHECKING:
    from ..batch.job import Summary
    from ..records import ImageRecord

PIPE_WIDTH = 1000
PARAMETER = re.compile("`([a-z_]+)`")

Cell = str | tuple[str, str]


def stderr_console() -> Console:
    """A console on the current stderr."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print results for people on stdout.

    Args:
        columns: headings; empty for a table without.
        rows: cells as text, or as text and style.
    """
    table = Table(show_header=bool(columns), box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns or [""] * len(rows[0]):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            *(Text(one_line(cell)) if isinstance(cell, str) else Text(one_line(cell[0]), cell[1]) for cell in row)
        )
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    # Lines are not wrapped in a pipe.
    console = Console(width=PIPE_WIDTH, highlight=False, file=io.StringIO())
    console.print(table)
    for line in console.file.getvalue().splitlines():  # type: ignore[attr-defined]
        print(line.rstrip())


def print_json(value: Any) -> None:
    """Print results for programs on stdout."""
    print(json.dumps(value, indent=2))


def error_line(text: str) -> None:
    """Print a fatal error as one line."""
    stderr_console().print(Text.assemble(("hqsam: error: ", "bold red"), sentence(text)))


def sentence(text: str) -> str:
    """A message on one line, with command-line options in place of parameters between backticks."""
    return one_line(with_options_named(text))


def with_options_named(text: str) -> str:
    """A message with command-line options in place of parameters between backticks."""
    return PARAMETER.sub(lambda name: OPTIONS.of(name[1]) or name[0], text)


class Options:
    """All options of the command line, collected on first use."""

    def __init__(self) -> None:
        self.flags: Callable[[], frozenset[str]] = frozenset

    def of(self, parameter: str) -> str | None:
        """The option that sets a parameter, or None if there is none."""
        flag = f"--{parameter.replace('_', '-')}"
        return flag if flag in self.flags() else None


OPTIONS = Options()


def one_line(text: str) -> str:
    """Text on one line, without passwords; newlines and bytes that are not UTF-8, as in file names, are escaped."""
    clean = redacted(text).encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in clean)


class ConsoleHandler(logging.Handler):
    """Log records of this package on stderr, without breaking a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, followed by its traceback if it has one."""
        from tqdm import tqdm

        try:
            text = redacted(with_options_named(self.format(record)))
            with tqdm.external_write_mode(file=sys.stderr):
                stderr_console().print(Text.assemble(("hqsam: ", "dim"), text))
        except Exception:
            self.handleError(record)


def log_to_console(*, debug: bool) -> None:
    """Show warnings of this package; with `debug` all messages, tracebacks and warnings of libraries."""
    logger = logging.getLogger(__name__.partition(".")[0])
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
    logger.handlers = [ConsoleHandler()]
    logger.propagate = False
    # Warnings of libraries are for developers, and would break the progress bar.
    logging.captureWarnings(True)
    warned = logging.getLogger("py.warnings")
    warned.handlers = [ConsoleHandler() if debug else logging.NullHandler()]
    warned.propagate = False
    root = logging.getLogger()
    if not debug and not root.handlers:  # without a handler, Python prints warnings and errors on stderr
        root.addHandler(logging.NullHandler())


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
        quiet: print errors only.
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
            self.say(f"{done} of {total} {unit}s already done; continuing with the rest")
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
        """A warning; only the first 20 are printed unless verbose."""
        self.problems += 1
        if self.verbose or self.problems <= MOST_PROBLEMS:
            self.say(text, "yellow")

    def on_end(self, summary: Summary, images: int) -> None:
        """Print the summary of a run."""
        rate = summary.done / summary.seconds if summary.seconds else 0.0
        parts = [f"{summary.done} of {images} images", f"{summary.masks} {self.results}"]
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
            self.say(f"{self.problems - MOST_PROBLEMS} more such messages; --verbose shows all", "yellow")

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
