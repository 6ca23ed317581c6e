"""Prompt formats, one module each, with an entry in a table of `configs.formats`.

A reader fills a `PromptFile` and returns whether the content has its format; if not, it adds nothing. It raises a
ValueError if the content has its format but is unusable.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any
from xml.etree import ElementTree

from ...configs.formats import FILE_PROMPTS, JSON_PROMPTS, XML_PROMPTS
from ..prompt_file import PromptFile


def load_reader(reader: str) -> Any:
    """Load the reader of a format."""
    module, _, name = reader.partition(".")
    return getattr(import_module(f"{__name__}.{module}"), name)


JSON_READERS: dict[str, Callable[[Any, PromptFile], bool]] = {n: load_reader(own) for n, own in JSON_PROMPTS.items()}
XML_READERS: dict[str, Callable[[ElementTree.Element, PromptFile], bool]] = {
    n: load_reader(own) for n, own in XML_PROMPTS.items()
}
FILE_READERS: dict[str, Callable[[bytes, PromptFile], bool]] = {n: load_reader(own) for n, own in FILE_PROMPTS.items()}
