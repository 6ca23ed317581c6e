"""Errors, one line each: what is wrong, in which file, and the remedy.

Parameter names in messages are in backticks, as in "raise `max_pixels`"; the command line replaces them by its options,
as in "--max-pixels" (`hqsam_cli.cli.console.sentence`).
"""

from __future__ import annotations

import os
import re

PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/]*@")


class HqsamError(Exception):
    """A fatal error; the command prints its text as one line and exits with `exit_code`.

    Args:
        reason: what is wrong, a clause without a full stop.
        file: the affected file or folder, as given.
        option: the affected parameter.
        value: the given value, of that parameter or of an argument.
        detail: details, such as the message of a library; shown in parentheses.
        remedy: what to do; "" if unknown.
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
    """Invalid options or arguments."""

    exit_code = 2


class NoInputError(HqsamError):
    """No input found."""

    exit_code = 4


class ReaderGoneError(HqsamError):
    """The reader of stdout closed it, as `head` does; no message is printed."""

    exit_code = 141  # the status of a process that SIGPIPE ended, in a shell

    def __init__(self) -> None:
        super().__init__("the reader of stdout has closed it")


class ImageError(HqsamError):
    """An image that cannot be processed; the run continues with the others and ends with exit code 3."""

    exit_code = 3


def redacted(text: str) -> str:
    """A text with the passwords in its URLs masked: `ftp://user:***@host/`."""
    return PASSWORD.sub(r"\1***@", text)


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, at most 160 characters, or the name of its class."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
