"""Prompts against the sizes of the images, as their headers give them: what no model could make sense of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ..configs import Exif
from ..errors import HqsamError, ImageError
from ..io.find import SourceImage
from ..io.images import TURNS, image_size, stored_orientation, turn_of_masks
from ..io.places import Place
from ..records import ImagePrompts
from .fit import fit_prompts
from .table import PromptTable

SAMPLE = 50  # images whose headers are read
TURNED = 5  # the first EXIF orientation that swaps width and height
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
    places: list[Place] = []
    for image in islice(asked, SAMPLE):
        places.append(image.place())
        size = _size(places[-1], exif)
        if size is None:
            return  # the run will say what is wrong with it
        sized.append((table.for_image(image.file_name), *size))
    if pixels_assumed:
        _check_no_corners(sized)
    if len(asked) > SAMPLE:
        return
    lost: list[str] = []
    for (prompts, width, height), place in zip(sized, places, strict=True):
        try:
            fitted, problems = fit_prompts(prompts, width, height, turn_of_masks(place, exif))
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


def _size(place: Place, exif: Exif) -> tuple[int, int] | None:
    """Width and height of an image as it will be decoded."""
    size = image_size(place)
    orientation = stored_orientation(place) if size is not None and exif == "apply" else 1
    return size[::-1] if size is not None and orientation in TURNS and orientation >= TURNED else size
