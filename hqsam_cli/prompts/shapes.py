"""Shapes drawn in annotation tools, as prompts in pixels."""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from ..configs import DEFAULT_MAX_PIXELS
from ..errors import ImageError
from ..formats.segmentation import enclosing_box, even_odd
from ..formats.values import Identifier, read_numbers
from ..io.files import InputFile
from ..io.images import open_image
from ..records import Box, MaskCrop, Segmentation
from .boxes import Size
from .prompt_file import PromptFile

VERTICES = 128  # of the polygon of an ellipse, within 0.03 % of its radii


class Shape(NamedTuple):
    """What a shape is as a prompt; fields as in `PromptFile.add`, the box as corners."""

    box: Box | None = None
    segmentation: Segmentation | None = None
    points: list[list[float]] | None = None


def add_shape(
    file: PromptFile,
    key: Identifier,
    own_id: str,
    label: str,
    shape: Shape | None,
    others: str,
    *,
    where: str | None = None,
    score: object = None,
    group: Hashable | None = None,
) -> None:
    """Add an annotation with a shape; None is noted as one of `others`, `where` in the file."""
    if shape is None:
        file.skip(f"{others}, skipped", own_id if where is None else where, key)
    else:
        file.add(key, own_id, label, box_format="xyxy", score=score, group=group, **shape._asdict())


def point(x: float, y: float) -> Shape:
    """A point on an object."""
    return Shape(points=[[x, y, 1]])


def ellipse(x: float, y: float, rx: float, ry: float, radians: float = 0.0) -> Shape:
    """The polygon of an ellipse around a center, turned clockwise."""
    angles = np.arange(VERTICES) * (2 * math.pi / VERTICES)
    along, across = rx * np.cos(angles), ry * np.sin(angles)
    cosine, sine = math.cos(radians), math.sin(radians)
    corners = np.stack([x + along * cosine - across * sine, y + along * sine + across * cosine], axis=1)
    return polygon([corners.ravel().tolist()])


def polygon(rings: list[list[float]], size: Size | None = None) -> Shape:
    """An object of rings x, y, x, y, …; a ring within another is a hole, which is filled if the size is unknown.

    Args:
        size: width and height of the image.
    """
    segmentation: Segmentation = rings
    if size is not None and len(rings) > 1:
        try:
            segmentation = even_odd(rings, *size)
        except ValueError:
            segmentation = rings  # noted when it is decoded
    return Shape(enclosing_box([n for ring in rings for n in ring]), segmentation)


def ring_of(points: Any) -> list[float] | None:
    """x, y, x, y, … of at least three points, each a pair or an object with x and y; None if one is invalid."""
    given = points if isinstance(points, list) else []
    pairs = [read_numbers([own.get("x"), own.get("y")] if isinstance(own, dict) else own, 2) for own in given]
    known = [pair for pair in pairs if pair is not None]
    return [n for pair in known for n in pair] if len(pairs) == len(known) > 2 else None


def bitmap(content: bytes, x: int, y: int, size: Size) -> Shape | None:
    """The pixels of an image file that are not 0; None if it is none, or they are outside the image.

    Args:
        x, y: position of its upper left pixel.
        size: width and height of the image, which it may not exceed.
    """
    file = InputFile("a mask")
    file.content = content
    try:
        with open_image(file, exif="ignore", max_pixels=min(size[0] * size[1], DEFAULT_MAX_PIXELS)) as image:
            values = np.asarray(image.getchannel("A") if "A" in image.getbands() else image)
    except ImageError:
        return None
    return placed((values.any(axis=2) if values.ndim == 3 else values) != 0, x, y, size)


def placed(bits: np.ndarray, x: int, y: int, size: Size) -> Shape | None:
    """A mask, bool (h, w), at a position of an image; None if it is empty there."""
    width, height = size
    inside = bits[max(-y, 0) : max(height - y, 0), max(-x, 0) : max(width - x, 0)]
    crop = MaskCrop(inside, max(x, 0), max(y, 0), width, height)
    left, top, w, h = crop.tight_box()
    return Shape((left, top, left + w, top + h), crop.rle) if w else None


def base64_bytes(text: Any) -> bytes:
    """Decode Base64; empty if it is invalid."""
    try:
        return b64decode(text) if isinstance(text, str) else b""
    except ValueError:
        return b""
