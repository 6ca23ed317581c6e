"""The `hqsam` command: its subcommands, and how every error ends."""

from __future__ import annotations

import os
import sys

import typer

from .. import __version__
from ..errors import HqsamError
from .console import error_line
from .info import info
from .segment import segment
from .weights import weights

app = typer.Typer(
    name="hqsam",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 done · 1 fatal · 2 usage · 3 some images failed · 4 no input matched · 130 interrupted",
)
app.command()(segment)
app.add_typer(weights, name="weights")
app.command()(info)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"hqsam {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Folders of images to high-quality instance masks with HQ-SAM."""


def main() -> None:
    """Run the command and leave with the exit code that says how it went."""
    try:
        app()
    except HqsamError as error:
        error_line(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read our stdout has seen enough. The interpreter would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(130)
