"""Data sets of Hugging Face, `metadata.jsonl` or Parquet, with `objects` in the row of an image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import yaml

from ...formats.values import FileCategory, JsonObject, integer, text_of
from ..prompt_file import PromptFile
from .box_table import PARQUET, read_columns
from .mapped import HUGGING_FACE

OBJECTS, CARD = "objects", "README.md"  # the card begins with YAML between lines of `---`


def read_metadata(document: Any, file: PromptFile) -> bool:
    """Read boxes of rows; class names are those of the data set card, beside the file or in the folder above."""
    if not HUGGING_FACE(document, file):
        return False
    folder = file.classes.folder
    for card in (place / CARD for place in (() if folder is None else (folder, folder.resolve().parent))):
        if card.is_file() and not file.categories:
            with suppress(OSError, yaml.YAMLError, RecursionError):
                head = yaml.safe_load(text_of(card.read_bytes()).partition("---")[2].partition("\n---")[0])
                file.categories = _categories(own for own in _find(head, "name") if own["name"] == OBJECTS)
    return True


def read_parquet(content: bytes, file: PromptFile) -> bool:
    """Read boxes of rows; class names are those of the features in the schema.

    Raises:
        ValueError: it is Parquet that cannot be read.
    """
    if not content.startswith(PARQUET):
        return False
    table = read_columns(content)
    if OBJECTS not in table.column_names or not HUGGING_FACE(table.to_pylist(), file):
        return False
    with suppress(ValueError, RecursionError):
        features = json.loads((table.schema.metadata or {}).get(b"huggingface", b"null"))
        file.categories = _categories(own[OBJECTS] for own in _find(features, OBJECTS))
    return True


def _categories(features: Iterator[Any]) -> list[FileCategory]:
    """COCO categories of the classes in features, as written in schemas, or in cards."""
    listed = (own["names"] for feature in features for own in _find(feature, "names"))
    names = next((names for names in listed if isinstance(names, dict | list)), [])
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    return [{"id": number, "name": str(name)} for key, name in pairs if (number := integer(key)) is not None]


def _find(value: Any, key: str) -> Iterator[JsonObject]:
    """Yield the objects anywhere in a document that have a key."""
    if isinstance(value, dict) and key in value:
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _find(item, key)
