"""JSON documents of a record per image, as datasets and the answers of models are saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from ...formats.values import Identifier, identifier, integer
from ...io.images import READ_SUFFIXES
from ...io.names import plain_name
from ..prompt_file import NameKind, PromptFile
from .coco import Lines

# Keys of the image; the last two are of requests in batches of OpenAI and Gemini.
IMAGES = (
    *("file_name", "filename", "image_path", "img_path", "imageGcsUri", "image", "img", "images", "file", "path"),
    *("image_id", "custom_id", "key"),
)
NAMES = ("name", "filepath")  # keys of the image, if the value is the name of one
SIZES = (("width", "height"), ("image_width", "image_height"), ("img_width", "img_height"))


def records(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield the place and the record of each image: a line, an entry of a list, or a value by the name of the image."""
    if isinstance(document, dict) and document and all(_is_image(key) for key in document):
        yield from ((name, {IMAGES[0]: name, "": record}) for name, record in document.items())
        return
    wrapped = document.values() if isinstance(document, dict) and image_of(document) is None else ()
    for entries in (document, *wrapped):
        if isinstance(entries, Lines) or (isinstance(entries, list) and any(map(image_of, entries))):
            kind = "line" if isinstance(entries, Lines) else "entry"
            yield from ((f"{kind} {number}", record) for number, record in enumerate(entries, 1))
            return
    yield "", document


def add_record_image(file: PromptFile, record: Any, where: str) -> Identifier | None:
    """Add the image of a record; return its key, or None if it names none.

    Raises:
        ValueError: the only record of a file names no image, and the file has no name either.
    """
    name = image_of(record)
    if not where and name is None:
        return file.add_label_image()
    if name is None:
        return None
    sizes = ((record.get(width), record.get(height)) for width, height in SIZES)
    size = next((size for size in sizes if None not in size), (None, None))
    kind: NameKind = "name" if _is_image(name) else "stem" if isinstance(name, int) else "path_stem"
    file.add_image(name, str(name), where, size, integer(record.get("image_id")), kind)
    return name


def image_of(record: Any) -> Identifier | None:
    """The name or id of the image of a record, or None."""
    for key in IMAGES if isinstance(record, dict) else ():
        value = record.get(key)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict):  # of Hugging Face, with `bytes` and `path`
            value = image_of(value)
        if (name := identifier(value)) is not None and not str(name).startswith("data:"):
            return name
    names = (record.get(key) for key in NAMES if isinstance(record, dict))
    return next((name for name in names if isinstance(name, str) and _is_image(name)), None)


def _is_image(name: object) -> bool:
    return isinstance(name, str) and PurePosixPath(plain_name(name)).suffix.lower() in READ_SUFFIXES
