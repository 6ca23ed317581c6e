"""Decide in which format boxes are of which the file does not say it, by all of them and the sizes of the images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

from ..errors import HqsamError
from ..formats.values import Identifier
from ..io.find import SourceImage
from ..io.images import read_header
from .boxes import MOST, Size, divided, is_within, smart_resize
from .prompt_file import PromptFile

THOUSAND = (1000, 1000)
SAMPLE = 50  # images whose headers are read
RARE = 0.01  # a probability


def settle_units(file: PromptFile, images: Mapping[Identifier, SourceImage]) -> str | None:
    """Decide the unit of boxes of Qwen-VL of which neither the model nor the size of the input is given.

    They are pixels of the resized input, of Qwen2.5-VL, or thousandths, of Qwen3-VL. Boxes that exceed the input or
    1000 leave one unit. If all are within both, it is the unit in which that is no coincidence: boxes anywhere in the
    larger of the two frames would hardly all be within the smaller one.

    Args:
        images: images of the run by their key in the file.

    Returns:
        A message about the decision, or None if there was none to make.

    Raises:
        HqsamError: it could be either.
    """
    if file.given_format is not None or not file.ambiguous:
        return None
    inputs = {key: smart_resize(*size) for key in islice(images, SAMPLE) if (size := _size(file, key, images[key]))}
    boxes = [(a.value, inputs[a.key]) for a in file.annotations if a.field == "input_box" and a.key in inputs]
    if not boxes:
        return None
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
    file.box_format = "qwen2.5" if is_input else "xyxy1000"
    return f"{file.path}: boxes read as {file.box_format}, by their numbers"


def settle_sizes(file: PromptFile, images: Mapping[Identifier, SourceImage]) -> str | None:
    """Decide whether the boxes of a table without a header, read as `xywh`, are `xyxy`, its documented columns.

    They are what more of them can be in their images. Without the sizes of images, they are corners if most can be.

    Args:
        images: images of the run by their key in the file.

    Returns:
        A message about the decision, or None if there was none to make.

    Raises:
        HqsamError: most could be either, but more of them sizes than corners.
    """
    if not file.annotations:
        return None
    sizes = {key: size for key in islice(images, SAMPLE) if (size := _size(file, key, images[key]))}
    numbers = [(a, b, c, d) for (a, b, c, d), _ in file.ambiguous]
    pairs = list(zip(file.annotations, numbers, strict=True))
    known = [(a.value, own, sizes.get(a.key)) for a, own in pairs if a.key in sizes or not sizes]
    as_sizes = sum(is_within(box, size) for box, _, size in known)
    as_corners = sum(is_within(own, size) for _, own, size in known)
    enough = as_corners >= MOST * len(known)
    if sizes and as_sizes > as_corners and enough:
        raise HqsamError(
            f"no header, and of its first {len(known)} boxes {as_sizes} could be sizes, and {as_corners} corners",
            file=file.path,
            remedy="pass `box_format` xywh or xyxy",
        )
    if as_corners >= as_sizes or enough:
        file.box_format = "xyxy"
        file.annotations = [replace(a, value=own) for a, own in pairs if is_within(own)]
        for a in (a for a, own in pairs if not is_within(own)):
            file.lose("boxes without area, skipped", file.images[a.key].label, a.key)
    reason = "their numbers and the sizes of the images" if sizes else "their numbers"
    return f"{file.path}: no header; boxes read as {file.box_format}, by {reason}"


def _size(file: PromptFile, key: Identifier, image: SourceImage) -> Size | None:
    header = None if file.images[key].size else read_header(image.file())
    return file.images[key].size if header is None else (header.width, header.height)
