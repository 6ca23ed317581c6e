"""Formats that prompts are read from: a file a format, and an entry of a table of `configs.formats`.

A reader fills a `PromptFile`. It returns whether the document, or the content of the file, is of its format; of
another it adds nothing. It raises a ValueError where that is plain, and the file of no use.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from ...configs.formats import FILE_PROMPTS, FOLDER_PROMPTS, JSON_PROMPTS
from ..prompt_file import PromptFile


def load_reader(reader: str) -> Any:
    """The reader of a format."""
    module, _, name = reader.partition(".")
    return getattr(import_module(f"{__name__}.{module}"), name)


READERS: dict[str, Callable[[Any, PromptFile], bool]] = {n: load_reader(own) for n, own in JSON_PROMPTS.items()}
FILE_READERS: dict[str, Callable[[bytes, PromptFile], bool]] = {n: load_reader(own) for n, own in FILE_PROMPTS.items()}
FOLDER_READERS: dict[str, tuple[str, Callable[[Path, list[Path], PromptFile], None]]] = {
    suffix: (name, load_reader(own)) for suffix, (name, own) in FOLDER_PROMPTS.items()
}
