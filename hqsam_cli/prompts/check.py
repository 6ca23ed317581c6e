"""Checks for unusable prompts: files without prompts for these images, and boxes outside all of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ..configs import BoxFormat, Exif
from ..errors import HqsamError, ImageError
from ..formats.values import some_of
from ..io.find import SourceImage
from ..io.images import ImageHeader, mask_turn, read_header
from ..records import ImagePrompts
from .boxes import check_pixels
from .fit import fit_prompts
from .read import PromptSources
from .table import PromptTable

SAMPLE = 50  # images whose headers are read


def check_fits(table: PromptTable, images: Sequence[SourceImage], exif: Exif, assumed: BoxFormat | None) -> None:
    """Raise if, by the first images, no prompt is within its image, or boxes are evidently corners.

    Args:
        assumed: box format in pixels that was not given, but assumed.

    Raises:
        HqsamError: the prompts do not fit; the message says which option to pass.
    """
    asked = [image for image in images if table.for_image(image.file_name).prompts]
    sized: list[tuple[ImagePrompts, int, int]] = []
    headers: list[ImageHeader] = []
    for image in islice(asked, SAMPLE):
        header = read_header(image.file())
        if header is None:
            return  # reported by the run
        headers.append(header)
        sized.append((table.for_image(image.file_name), *header.size(exif)))
    if assumed is not None:
        boxes = [(p.box, (w, h)) for prompts, w, h in sized for p in prompts.prompts if p.box is not None]
        check_pixels(boxes, assumed, f"of the first {len(boxes)}")
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
        raise HqsamError("no prompt lies inside its image", remedy=f"the first problem: {lost[0]}")


def check_speaks(sources: PromptSources) -> None:
    """Raise an HqsamError if a prompt file has no objects; for an output folder that already has results."""
    for file in sources.files:
        if file.says_nothing:
            raise HqsamError(
                f"{file.kind} without objects, and without images stated to have none; the output has results, "
                "and nothing was changed",
                file=file.path,
                remedy="pass the file of these images",
            )


def check_used(sources: PromptSources, table: PromptTable, images: Sequence[SourceImage]) -> None:
    """Raise an HqsamError if prompts were given and none of them can be used, for any reason."""
    if not sources.entries or any(own.prompts for own in table.images.values()):
        return
    if dropped := sum(own.dropped for own in table.images.values()):
        raise HqsamError(
            f"its {dropped} prompts of these inputs all have scores below `score_threshold`",
            file=sources.entries[0][0],
            remedy="lower it",
        )
    path, count, names = sources.entries[0]
    named = f"it names {some_of(names)}" if names else "it names no image"
    inputs = some_of(image.file_name for image in images)
    reason = next(iter([*table.outside, *table.notes.lost]), None)
    raise HqsamError(
        f"none of its {count} prompts can be used; {named}, and the inputs are {inputs}",
        file=path,
        remedy="pass the file of these images" if reason is None else f"the first problem: {reason}",
    )
