"""Prompts that cannot be meant: files that say nothing, or nothing of these images, and boxes that leave them all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ..configs import Exif
from ..errors import HqsamError, ImageError
from ..formats.values import some_of
from ..io.find import SourceImage
from ..io.images import ImageHeader, mask_turn, read_header
from ..records import ImagePrompts
from .boxes import check_no_corners
from .fit import fit_prompts
from .read import PromptSources
from .table import PromptTable

SAMPLE = 50  # images whose headers are read


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
        boxes = [(p.box, (w, h)) for prompts, w, h in sized for p in prompts.prompts if p.box is not None]
        check_no_corners(boxes, f"of the first {len(boxes)}")
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


def check_speaks(sources: PromptSources) -> None:
    """Raise an HqsamError where prompts are to be of images that have results, and a file of them says nothing."""
    for file in sources.files:
        if file.says_nothing:
            raise HqsamError(
                f"{file.kind} without any object, and it says of no image that there is none; the output has results, "
                "and nothing was touched",
                file=file.path,
                remedy="give the file of these images",
            )


def check_used(sources: PromptSources, table: PromptTable, images: Sequence[SourceImage]) -> None:
    """Raise an HqsamError where prompts were given and all of them are lost, whatever the reason."""
    if sources.frame or not sources.entries or any(own.prompts for own in table.images.values()):
        return
    if dropped := sum(own.dropped for own in table.images.values()):
        raise HqsamError(
            f"its {dropped} prompts are of these inputs, and `score_threshold` lets none through",
            file=sources.entries[0][0],
            remedy="lower it",
        )
    path, count, names = sources.entries[0]
    named = f"it names {some_of(names)}" if names else "it names no image"
    inputs = some_of(image.file_name for image in images)
    reason = next(iter([*table.outside, *table.notes.lost]), None)
    raise HqsamError(
        f"of its {count} prompts not one can be used; {named}, and the inputs are {inputs}",
        file=path,
        remedy="give the file of these images" if reason is None else f"the first trouble: {reason}",
    )
