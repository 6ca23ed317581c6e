"""Errors that people see: one line each, saying what, which file, and what to do."""

from __future__ import annotations


class HqsamError(Exception):
    """A fatal error; the command prints its text as one line and exits with `exit_code`."""

    exit_code = 1


class UsageError(HqsamError):
    """The command line asks for something that cannot be meant."""

    exit_code = 2


class NoInputError(HqsamError):
    """Nothing matched the inputs."""

    exit_code = 4


class ReaderGoneError(HqsamError):
    """Whoever read the results from stdout has seen enough, as `head` does; nothing is said of it."""

    exit_code = 141  # what a shell says of a process that SIGPIPE ended


class ImageError(HqsamError):
    """One image cannot be processed; the others go on and the run ends with exit code 3."""

    exit_code = 3
