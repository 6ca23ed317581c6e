"""Decide whether boxes of Qwen-VL are pixels of the resized input, of Qwen2.5-VL, or thousandths, of Qwen3-VL."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

from ..errors import HqsamError
from ..formats.values import Identifier
from ..io.find import SourceImage
from ..io.images import read_header
from .boxes import MOST, Size, divided, smart_resize
from .prompt_file import PromptFile

THOUSAND = (1000, 1000)
SAMPLE = 50  # images whose headers are read
RARE = 0.01  # a probability


def settle_units(file: PromptFile, images: Mapping[Identifier, SourceImage]) -> list[str]:
    """Decide the unit of boxes of which neither the model nor the size of the input is given, by all of them.

    Boxes that exceed the input or 1000 leave one unit. If all are within both, it is the unit in which that is no
    coincidence: boxes anywhere in the larger of the two frames would hardly all be within the smaller one.

    Args:
        images: images of the run by their key in the file.

    Returns:
        A message about the decision; none if no image has boxes.

    Raises:
        HqsamError: it could be either.
    """
    inputs = {key: smart_resize(*size) for key in islice(images, SAMPLE) if (size := _size(file, key, images[key]))}
    boxes = [(a.value, inputs[a.key]) for a in file.annotations if a.field == "input_box" and a.key in inputs]
    if not boxes:
        return []
    exceed = sum(x1 > width or y1 > height for (_, _, x1, y1), (width, height) in boxes)
    ratios = [side / thousand for _, size in boxes for side, thousand in zip(size, THOUSAND, strict=True)]
    if max(n for numbers, _ in file.ambiguous for n in numbers) > max(THOUSAND):
        is_input = True
    elif exceed > (1 - MOST) * len(boxes) or math.prod(min(1, 1 / ratio) for ratio in ratios) < RARE:
        is_input = False
    elif math.prod(min(1, ratio) for ratio in ratios) < RARE:
        is_input = True
    else:
        raise HqsamError(
            "its boxes could be pixels of the input of Qwen2.5-VL, or thousandths, of Qwen3-VL",
            file=file.path,
            remedy="pass `box_format` qwen2.5 or xyxy1000",
        )
    for number, own in enumerate(file.annotations):
        if own.field == "input_box" and not is_input:
            file.annotations[number] = replace(own, field="xyxyn", value=divided(own.value, THOUSAND))
    return [f"{file.path}: boxes read as {'qwen2.5' if is_input else 'xyxy1000'}, by their numbers"]


def _size(file: PromptFile, key: Identifier, image: SourceImage) -> Size | None:
    header = None if file.images[key].size else read_header(image.file())
    return file.images[key].size if header is None else (header.width, header.height)
