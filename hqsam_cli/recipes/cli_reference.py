"""Generate the CLI reference, `docs/cli.md`, from the commands: `python -m hqsam_cli.recipes.cli_reference`.

With `--check` nothing is written, and an outdated file is reported with exit code 1.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from rich.text import Text
from typer.main import get_command

from ..cli.app import app

PATH = Path(__file__).parents[2] / "docs" / "cli.md"
HEAD = "Written by `python -m hqsam_cli.recipes.cli_reference`, not by hand. Every command has `-h` and `--help`."
COLUMNS, RULE = ["", "value", "default", "environment", ""], ["---"] * 5


def reference() -> str:
    """Return the CLI reference as Markdown."""
    return "\n\n".join(("# Command line", HEAD, *_paragraphs(get_command(app), "hqsam"))) + "\n"


def _paragraphs(command: Any, path: str) -> Iterator[str]:
    """Help of a command, with the examples in its epilog, and of its subcommands."""
    subcommands: dict[str, Any] = getattr(command, "commands", {})
    pieces = [p.metavar or p.name.upper() for p in command.params if p.param_type_name == "argument"]
    pieces += ["COMMAND [ARGS]..."] if subcommands else []
    yield f"## {path}\n\n{_prose(command.help or '')}"
    yield f"Usage: `{' '.join([path, '[OPTIONS]', *pieces])}`"
    yield from _tables(command)
    title, _, examples = Text.from_markup(command.epilog or "").plain.strip().partition("\n\n")
    if title:
        yield f"{title}:\n\n```sh\n" + examples.replace("\n\n", "\n") + "\n```" if examples else _prose(title)
    for name, subcommand in subcommands.items():
        yield from _paragraphs(subcommand, f"{path} {name}")


def _tables(command: Any) -> Iterator[str]:
    """One table per help panel, options without a panel first."""
    hints = get_type_hints(inspect.unwrap(command.callback)) if command.callback else {}
    panels: dict[str, list[list[str]]] = {"Arguments": [], "Options": []}
    for p in command.params:
        panels.setdefault(p.rich_help_panel or f"{p.param_type_name.title()}s", []).append(_row(p, hints.get(p.name)))
    for panel, rows in panels.items():
        # Empty columns are omitted.
        kept = [n for n, column in enumerate(COLUMNS) if not column or any(row[n] for row in rows)]
        lines = [f"| {' | '.join(row[n] for n in kept)} |" for row in (COLUMNS, RULE, *rows)]
        if rows:
            yield "\n".join((f"**{panel}**\n", *lines))


def _row(parameter: Any, hint: Any) -> list[str]:
    """Cells of `COLUMNS`; `hint` is the annotation, with the values of a choice."""
    value = parameter.metavar or "|".join(_choices(hint)) or parameter.name.upper()
    is_argument, default = parameter.param_type_name == "argument", parameter.default
    default = "" if default in (None, ()) or default is False else getattr(default, "value", default)
    names = ", ".join(map(_code, [value] if is_argument else (*parameter.opts, *parameter.secondary_opts)))
    value = "" if is_argument or parameter.is_flag else value
    shown = "required" if parameter.required else _code(str(default))
    return [names, _code(value), shown, _code(parameter.envvar or ""), _prose(parameter.help or "")]


def _choices(hint: Any) -> list[str]:
    """Values of a Literal or Enum in an annotation, if any."""
    members: dict[str, Enum] = getattr(hint, "__members__", {})
    values = get_args(hint) if get_origin(hint) is Literal else [member.value for member in members.values()]
    return [str(value) for value in values] or [value for part in get_args(hint) for value in _choices(part)]


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`" if text else ""


def _prose(markup: str) -> str:
    """Convert help to escaped Markdown."""
    return "".join(f"\\{c}" if c in "<*|[]" else c for c in Text.from_markup(markup).plain).strip()


def main() -> None:
    """Write or check the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    text = reference()
    if not parser.parse_args().check:
        PATH.write_text(text, "utf-8")
    elif not PATH.is_file() or PATH.read_text("utf-8") != text:
        sys.exit("docs/cli.md is not what the commands say: run python -m hqsam_cli.recipes.cli_reference")


if __name__ == "__main__":
    main()
