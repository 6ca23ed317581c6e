"""The content of one prompt file, read by the first reader that accepts it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from ..configs.formats import COMMON_PROMPTS
from ..formats.values import text_of
from ..formats.xml_text import read_xml
from ..io.file_types import HEAD, describe_placeholder
from .describe import describe_content, describe_document
from .prompt_file import PromptFile
from .readers import FILE_READERS, JSON_READERS, XML_READERS
from .readers.ndjson import Lines

ZIP = b"PK\x03\x04"
# NaN and infinities, which Python writes although JSON lacks them, become null.
parse_json = partial(json.loads, parse_constant=lambda _name: None)
KINDS_OF_FILES = f"pass {', '.join(COMMON_PROMPTS)} or another format that docs/formats lists"


def read_content(content: bytes, file: PromptFile) -> str:
    """Read a file with the first reader that accepts it; return the format name.

    Raises:
        ValueError: the format is unknown; the message says what it is and what to pass.
    """
    if placeholder := describe_placeholder(content[:HEAD]):
        raise ValueError(placeholder)
    if content.startswith(ZIP):
        raise ValueError("a zip archive; extract it, and pass the file or the folder in it")
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:4]
    if start[:1] == b"<" and start != b"<loc":  # a token of PaliGemma
        root = read_xml(content)
        if root is None:
            raise ValueError("XML that is broken or declares entities; export it again")
        if kind := next((kind for kind, read in XML_READERS.items() if read(root, file)), None):
            return kind
        raise ValueError(f"XML with the root element {root.tag}, neither {' nor '.join(XML_READERS)}; export it as one")
    is_json = start[:1] in (b"{", b"[")
    if not is_json and (kind := next((kind for kind, read in FILE_READERS.items() if read(content, file)), None)):
        return kind
    document = _document(content, is_json=is_json)
    if kind := next((kind for kind, read in JSON_READERS.items() if read(document, file)), None):
        return kind
    raise ValueError(
        f"{describe_document(document)}, no format of prompts that is known; pass COCO, with images and annotations, "
        "a line per image with file_name and annotations, or another format that docs/formats lists"
    )


def _document(content: bytes, *, is_json: bool) -> Any:
    """Parse a JSON document, or `Lines` of several.

    Raises:
        ValueError: it is neither; the message says what it is, and what to pass.
    """
    try:
        text = content.decode(json.detect_encoding(content), "surrogatepass")
    except UnicodeDecodeError:
        text = text_of(content)
    try:
        return parse_json(text)
    except RecursionError:
        raise ValueError(f"JSON nested too deeply to be COCO; {KINDS_OF_FILES}") from None
    except ValueError as whole:
        lines = Lines()
        # Not str.splitlines, which also splits at characters that names may contain.
        for number, line in enumerate(text.split("\n"), 1):
            try:
                lines += [parse_json(line)] if line.strip() else []
            except (ValueError, RecursionError):
                broken = f"line {number} is not JSON" if lines else f"broken JSON ({whole})"
                raise ValueError(f"{broken if is_json else describe_content(content)}; {KINDS_OF_FILES}") from None
        if not lines:
            raise ValueError(f"empty; {KINDS_OF_FILES}") from None
        return lines
