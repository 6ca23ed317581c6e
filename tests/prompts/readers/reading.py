"""Read prompt files from memory."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from hqsam_cli.formats.segmentation import decode_segmentation
from hqsam_cli.prompts.prompt_file import PromptFile, Use
from hqsam_cli.prompts.read import read_content


def read(content: Any, use: Use = "box", label: str = "labels.json") -> PromptFile:
    """A file of this name: bytes, text, or a JSON document."""
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    file = PromptFile(label, use, label=label)
    file.kind = read_content(content.encode() if isinstance(content, str) else content, file)
    return file


def objects(file: PromptFile) -> list[tuple[Any, ...]]:
    """The name of the image, the class, and the box, points or segmentation of each object."""
    return [(file.images[a.key].name, a.category_name, a.value) for a in file.annotations]


def masks(content: Any, width: int, height: int, label: str = "labels.json") -> list[np.ndarray]:
    """The masks of the objects of a file, bool (height, width) each."""
    return [decode_segmentation(a.value, width, height) for a in read(content, "mask", label).annotations]
