"""Answers of Qwen2.5-VL and Qwen3-VL, which write boxes in different units under the same key."""

from __future__ import annotations

import json
import re
from pathlib import PurePath
from typing import Any

from ...configs import BoxFormat
from ...formats.values import integer
from ..boxes import Size
from ..prompt_file import PromptFile
from .mapped import Mapped

INPUTS = (("input_width", "input_height"), ("resized_width", "resized_height"))
MODEL = re.compile(r"qwen[^\d/\"]{0,4}([23])", re.IGNORECASE)  # in the name of the file or folder
MODEL_OF_RECORD = re.compile(rf'"model\w*\W+[^"]*{MODEL.pattern}', re.IGNORECASE)
FORMATS: dict[str, BoxFormat] = {"2": "qwen2.5", "3": "xyxy1000"}


class Qwen(Mapped):
    """Boxes in pixels of the resized input of Qwen2.5-VL, or in thousandths of the image, of Qwen3-VL.

    A record may say the size of the input or the model, the name of the file or folder the model; see `settle_units`.
    """

    def format_of(self, record: Any, file: PromptFile) -> BoxFormat | Size | None:
        """See `Mapped`."""
        for names in INPUTS if isinstance(record, dict) else ():
            width, height = (integer(record.get(name)) or 0 for name in names)
            if min(width, height) > 0:
                return width, height
        model = MODEL_OF_RECORD.search(json.dumps(record)) or MODEL.search(f"{PurePath(file.path).name}/{file.label}")
        return FORMATS[model[1]] if model and file.given_format is None else None


QWEN = Qwen(("bbox_2d",), "qwen2.5", is_open=True)
