"""Prompt files of any format that `formats.READERS` knows, as the same small records."""

from __future__ import annotations

import hashlib
import json
from typing import Any, BinaryIO

from ..errors import HqsamError
from ..formats import READERS
from ..formats.ndjson import Lines
from ..formats.prompt_file import PromptFile, Use, read_annotations

STDIN = "-"


def read_prompt_file(
    path: str, use: Use | None, *, stdin: BinaryIO | None = None, listed: PromptFile | None = None
) -> PromptFile:
    """Records of a file, or of stdin for `-`.

    Args:
        use: what its annotations are read for; None reads images and categories alone.
        listed: the file that lists the images of a results list.

    Raises:
        HqsamError: unreadable, not JSON, or JSON of another kind.
    """
    name = "stdin" if path == STDIN else path
    content = _content(path, stdin)
    document = _document(content, name)
    digest = hashlib.sha256(content).hexdigest()
    for read in READERS.values():
        file = PromptFile(name, digest)
        annotations = read(file, document, listed)
        if annotations is not None:
            if use is not None:
                read_annotations(file, annotations, use)
            return file
    raise HqsamError(
        f"{name}: JSON, but no COCO: give an object with images and annotations, a list of results with "
        "image_id, or a line an image with file_name and annotations"
    )


def _content(path: str, stdin: BinaryIO | None) -> bytes:
    if path == STDIN:
        assert stdin is not None
        return stdin.read()
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise HqsamError(f"{path}: cannot be read ({error.strerror}); give a COCO or NDJSON file") from None


def _document(content: bytes, name: str) -> Any:
    """The JSON document, or the `Lines` of several."""
    try:
        return _parse(content)
    except RecursionError:
        raise HqsamError(f"{name}: JSON nested too deeply to be COCO; give a COCO or NDJSON file") from None
    except ValueError as whole:
        lines = Lines()
        for number, line in enumerate(content.splitlines(), 1):
            try:
                lines += [_parse(line)] if line.strip() else []
            except (ValueError, RecursionError):
                reason = f"line {number} is not JSON" if lines else f"not JSON ({whole})"
                raise HqsamError(f"{name}: {reason}; give a COCO or NDJSON file") from None
        if not lines:
            raise HqsamError(f"{name}: empty; give a COCO or NDJSON file") from None
        return lines


def _parse(text: bytes) -> Any:
    """The value of a JSON text. NaN and the infinities, which Python writes and JSON does not know, are null."""
    return json.loads(text, parse_constant=lambda _name: None)
