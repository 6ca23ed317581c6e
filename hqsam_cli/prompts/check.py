"""Prompts against the sizes of the images, as their headers give them: what no model could make sense of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ..configs import Exif
from ..errors import HqsamError, ImageError
from ..io.find import SourceImage
from ..io.images import ImageHeader, mask_turn, read_header
from ..records import ImagePrompts
from .fit import fit_prompts
from .table import PromptTable

SAMPLE = 50  # images whose headers are read
MOST = 0.9


def check_fits(table: PromptTable, images: Sequence[SourceImage], exif: Exif, *, pixels_assumed: bool) -> None:
    """Raise where it is plain from the first images that no prompt lies in its image, or that boxes are corners.

    Args:
        pixels_assumed: boxes were read as x, y, width and height because nobody said what they are.

    Raises:
        HqsamError: what is wrong, and what to pass.
    """
    asked = [image for image in images if table.for_image(image.file_name).prompts]
    sized: list[tuple[ImagePrompts, int, int]] = []
    headers: list[ImageHeader] = []
    for image in islice(asked, SAMPLE):
        header = read_header(image.file())
        if header is None:
            return  # the run will say what is wrong with it
        headers.append(header)
        sized.append((table.for_image(image.file_name), *header.size(exif)))
    if pixels_assumed:
        _check_no_corners(sized)
    if len(asked) > SAMPLE:
        return
    lost: list[str] = []
    for (prompts, width, height), header in zip(sized, headers, strict=True):
        try:
            fitted, problems = fit_prompts(prompts, width, height, mask_turn(header.orientation, exif))
        except ImageError:
            return
        if fitted:
            return
        lost += problems
    if lost:
        raise HqsamError("of the prompts not one lies in its image", remedy=f"the first trouble: {lost[0]}")


def _check_no_corners(sized: Sequence[tuple[ImagePrompts, int, int]]) -> None:
    boxes = [(p.box, w, h) for prompts, w, h in sized for p in prompts.prompts if p.box is not None]
    leave = sum(x1 > width + 1 or y1 > height + 1 for (_, _, x1, y1), width, height in boxes)
    corners = sum(x0 < x1 - x0 <= width + 1 and y0 < y1 - y0 <= height + 1 for (x0, y0, x1, y1), width, height in boxes)
    if 2 * leave > len(boxes) and corners >= MOST * len(boxes):
        raise HqsamError(
            f"{leave} of the first {len(boxes)} boxes leave their images when read as x, y, width, height, and fit as "
            "corners",
            remedy="pass `box_format` xyxy, or xywh if they are meant so",
        )
