"""The `hqsam` command: its subcommands, and how errors become exit codes."""

from __future__ import annotations

import logging
import os
import sys
from functools import cache
from typing import Any

import typer

from .. import __version__
from ..errors import HqsamError, ReaderGoneError
from . import bench as bench_command
from . import detect as detect_command
from . import eval as eval_command
from . import export as export_command
from . import info as info_command
from . import report as report_command
from . import results as results_command
from . import runs as runs_commands
from . import segment as segment_command
from . import show as show_command
from . import train as train_command
from . import weights as weights_command
from .console import OPTIONS, error_line, log_to_console
from .plain import (
    ClickException,
    crash_sentence,
    refuse_addresses,
    show_what_can_be_shown,
    tidy_help,
    usage_sentence,
)

log = logging.getLogger(__name__)

app = typer.Typer(
    name="hqsam",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 success · 1 fatal error · 2 usage error · 3 some images failed · 4 no input found · "
    "130 interrupted · 141 stdout closed by its reader",
)
app.command("segment", epilog=segment_command.EPILOG)(segment_command.segment)
app.command("show", epilog=show_command.EPILOG)(show_command.show)
app.command("report", epilog=report_command.EPILOG)(report_command.report)
app.command("detect", epilog=detect_command.EPILOG)(detect_command.detect)
app.command("status", epilog=runs_commands.STATUS_EPILOG)(runs_commands.status)
app.command("merge", epilog=runs_commands.MERGE_EPILOG)(runs_commands.merge)
app.command("eval", epilog=eval_command.EPILOG)(eval_command.evaluate)
app.command("train", epilog=train_command.EPILOG)(train_command.train)
app.command("export", epilog=export_command.EPILOG)(export_command.export)
app.add_typer(results_command.results, name="results")
app.add_typer(weights_command.weights, name="weights")
app.command("bench", epilog=bench_command.EPILOG)(bench_command.bench)
app.command("info")(info_command.info)


@cache
def _command() -> Any:
    """All commands; building them takes a tenth of a second."""
    return refuse_addresses(tidy_help(typer.main.get_command(app)))


@cache
def _flags() -> frozenset[str]:
    """All options of all commands."""
    commands: list[Any] = [_command()]
    for command in commands:  # which grows
        commands += getattr(command, "commands", {}).values()
    return frozenset(flag for command in commands for option in command.params for flag in option.opts)


OPTIONS.flags = _flags


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"hqsam {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
    debug: bool = typer.Option(
        False, "--debug", envvar="HQSAM_DEBUG", help="Show tracebacks, including those of failed images."
    ),
) -> None:
    """Segment folders of images into high-quality instance masks with HQ-SAM."""
    log_to_console(debug=debug)


def run() -> None:
    """Run the command and exit with its exit code."""
    # A daemon may have closed them. A closed stdout stays closed, so that results are not lost silently.
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    show_what_can_be_shown()
    try:
        # Not standalone: typer would print usage errors in a box of five lines.
        sys.exit(_command()(standalone_mode=False, prog_name="hqsam") or 0)
    except ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()  # type: ignore[attr-defined]
        else:
            error_line(usage_sentence(error))
        sys.exit(2)
    except ReaderGoneError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it at exit
        sys.exit(error.exit_code)
    except HqsamError as error:
        log.debug("traceback", exc_info=True)
        error_line(str(error))
        sys.exit(error.exit_code)
    except MemoryError as error:
        log.debug("traceback", exc_info=True)
        detail = f" ({error})" if str(error) else ""
        error_line(f"out of memory{detail}: lower --batch-size, --prompts-per-batch or --max-pixels")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        log.debug("traceback", exc_info=True)
        error_line(crash_sentence(error))
        sys.exit(1)
