"""Messages of one line on stderr, and tables on stdout."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import redacted

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
