"""Help without type names, usage errors of one line, and a fallback for terminals without Unicode."""

from __future__ import annotations

import codecs
import glob
import re
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import typer

from ..errors import UsageError
from ..io.addresses import is_address

# The base of click's usage errors, also where typer has vendored click.
ClickException: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
INSTEAD = {"…": "...", "·": "-", "–": "-", "—": "-", "×": "x", "→": "->", "│": "|", "─": "-", "█": "#"}


def tidy_help(command: Any) -> Any:
    """A command whose help shows no value for flags, and choices without brackets."""
    get_params = command.get_params
    command.get_params = lambda ctx: [_tidy(parameter) for parameter in get_params(ctx)]
    for subcommand in getattr(command, "commands", {}).values():
        tidy_help(subcommand)
    return command


def _tidy(parameter: Any) -> Any:
    if parameter.param_type_name == "argument":
        parameter.display_type_rich = lambda ctx: None
    elif parameter.is_flag:
        parameter.metavar = ""
    elif parameter.metavar is None:
        parameter.metavar = (parameter.display_type(None) or "").strip("<>")
    return parameter


# Options and arguments that accept URLs if their value is a str; a `Path` is always local.
ADDRESSABLE = frozenset(
    ("inputs", "boxes", "points", "coarse_masks", "images_json", "output", "shards", "given", "sets", "address")
)


def refuse_addresses(command: Any) -> Any:
    """A command that refuses URLs where it accepts only local paths."""
    for parameter in command.params:
        parameter.process_value = partial(_without_addresses, parameter, parameter.process_value)
    for subcommand in getattr(command, "commands", {}).values():
        refuse_addresses(subcommand)
    return command


def _without_addresses(parameter: Any, process: Callable[[Any, Any], Any], context: Any, value: Any) -> Any:
    made = process(context, value)
    for own in made if isinstance(made, list | tuple) else [made]:
        address = re.sub(":/+", "://", str(own), count=1) if isinstance(own, Path) else own
        takes_it = parameter.name in ADDRESSABLE and not isinstance(own, Path)
        if isinstance(address, str) and not takes_it and is_address(address):
            flag = "" if parameter.param_type_name == "argument" else f"{parameter.opts[0]} "
            remedy = "pass a local path, and copy from or to the URL"
            raise UsageError("a URL, which is not supported here", value=f"{flag}{address}", remedy=remedy)
    return made


def usage_sentence(error: Any) -> str:
    """A usage error as one line."""
    text = error.format_message().strip().rstrip(".?").replace(". Did you mean", ", did you mean")
    context = getattr(error, "ctx", None)
    path = "hqsam" if context is None else context.command_path
    unknown = re.fullmatch(r"No such command '(.+?)'.*", text)
    if unknown is not None and Path(unknown[1]).exists():
        return f"no such command '{unknown[1]}'; for images: hqsam segment {unknown[1]}"
    if text.startswith("Invalid value for "):
        name, _, reason = text.removeprefix("Invalid value for ").partition(": ")
        text = f"{name.strip(chr(39))}: {reason.removeprefix('Value error, ').replace('Input should be', 'must be')}"
    return f"{text[:1].lower()}{text[1:]}; see {path} --help"


# Messages of Python and its libraries about missing resources, and what to do.
PLACES = (
    ("Could not determine home directory", "no home folder: set HOME to a writable folder"),
    ("No usable temporary directory", "no temporary folder: set TMPDIR to a writable folder"),
    ("Too many open files", "too many open files: raise the limit, ulimit -n 1024, or lower --workers"),
    *(
        (text, "out of memory or threads: raise the limits, ulimit -v unlimited -u unlimited, or lower --workers")
        for text in ("can't start new thread", "failed to map segment", "can't allocate memory", "Cannot allocate")
    ),
)
LEAST_SPACE = 1 << 30  # bytes; with less, libraries crash while they are loaded


def crash_sentence(error: BaseException) -> str:
    """The message of an unexpected error: a missing resource of the machine, else a bug."""
    text = " ".join(str(error).split())
    for found, sentence in PLACES:
        if found in text:
            return sentence
    kind = type(error).__name__
    return f"unexpected {kind}{f' ({text[:300]})' if text else ''}; hqsam --debug shows where: please report it"


def check_address_space() -> None:
    """Exit if the memory limit of the process is too small to load the libraries."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit not in (-1, resource.RLIM_INFINITY) and limit < LEAST_SPACE:
        sys.exit(f"hqsam: error: memory is limited to {limit >> 20} MiB, too little for PyTorch: ulimit -v unlimited")


def show_what_can_be_shown() -> None:
    """Let stdout and stderr replace characters that their encoding lacks instead of failing."""

    def instead(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeEncodeError)
        lost = error.object[error.start : error.end]
        return "".join(INSTEAD.get(c) or c.encode("unicode_escape").decode() for c in lost), error.end

    codecs.register_error("hqsam", instead)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="hqsam")


def complete_names(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """The completion of an option that takes a name or a path."""

    def complete(incomplete: str) -> list[str]:
        known = [name for name in names() if name.startswith(incomplete)]
        return known + sorted(glob.glob(f"{glob.escape(incomplete)}*"))

    return complete


def complete_choices(values: Iterable[str]) -> Callable[[str], list[str]]:
    """The completion of an option that takes one of some values, or several, separated by commas."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{value}" for value in values if value.startswith(last)]

    return complete
