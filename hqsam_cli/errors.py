"""Errors that people see: one line each, saying what, which file, and what to do.

Names of parameters stand in them between backticks, as in "raise `max_pixels`"; the command line shows its options
for them, "--max-pixels" (`hqsam_cli.cli.console.sentence`).
"""

from __future__ import annotations

import os
import re

PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/]*@")


class HqsamError(Exception):
    """A fatal error; the command prints its text as one line and exits with `exit_code`.

    Args:
        reason: what is wrong, a clause without a full stop.
        file: the file or folder that it is about, as given.
        option: the parameter that it is about.
        value: what was given, of that parameter or of none.
        detail: more of it, such as what a library says; shown in parentheses.
        remedy: what to do; "" where nothing can be said.
    """

    exit_code = 1

    def __init__(
        self,
        reason: str,
        *,
        file: str | os.PathLike[str] | None = None,
        option: str | None = None,
        value: object = None,
        detail: str = "",
        remedy: str = "",
    ) -> None:
        self.reason, self.detail, self.remedy = redacted(reason), redacted(detail), redacted(remedy)
        self.file, self.option, self.value = redacted(file) if isinstance(file, str) else file, option, value
        about = [f"`{option}`" if option else None, file, value]
        subject = " ".join(str(part) for part in about if part is not None)
        text = f"{reason} ({detail})" if detail else reason
        super().__init__(redacted(f"{subject}: {text}" if subject else text))

    def __str__(self) -> str:
        return f"{self.args[0]}; {self.remedy}" if self.remedy else str(self.args[0])


class UsageError(HqsamError):
    """The command line asks for something that cannot be meant."""

    exit_code = 2


class NoInputError(HqsamError):
    """Nothing matched the inputs."""

    exit_code = 4


class ReaderGoneError(HqsamError):
    """Whoever read the results from stdout has seen enough, as `head` does; nothing is said of it."""

    exit_code = 141  # what a shell says of a process that SIGPIPE ended

    def __init__(self) -> None:
        super().__init__("the reader of stdout has closed it")


class ImageError(HqsamError):
    """One image cannot be processed; the others go on and the run ends with exit code 3."""

    exit_code = 3


def redacted(text: str) -> str:
    """A text without the passwords of the URLs in it: `ftp://user:***@host/`."""
    return PASSWORD.sub(r"\1***@", text)


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, at most 160 characters, or the name of its class."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
