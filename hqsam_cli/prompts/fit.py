"""Fit prompts to images: clip and validate them, read their masks, and check that some of them are usable."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from ..configs import BoxFormat, Exif
from ..errors import HqsamError, ImageError
from ..formats.segmentation import decode_segmentation
from ..formats.values import some_of
from ..io.find import SourceImage
from ..io.images import ImageHeader, mask_turn, read_header
from ..io.masks import read_ids, read_mask
from ..records import ImagePrompts, MappedObject, NormalizedPolygon, Prompt, RawPrompt
from .boxes import check_pixels, divided, smart_resize
from .read import PromptSources
from .table import PromptTable
from .units import SAMPLE


def fit_prompts(
    image: ImagePrompts, width: int, height: int, turn: Image.Transpose | None = None
) -> tuple[list[Prompt], list[str]]:
    """Fit prompts to an image size; return usable prompts, and a message per dropped part.

    Boxes are clipped to the image, normalized boxes become pixels, points outside are dropped, and coarse masks become
    arrays. A prompt is kept if any part of it is usable.

    Args:
        turn: transpose of masks drawn in the other orientation than the photo was read in: its EXIF transpose if that
            was applied to the photo, otherwise the inverse.

    Raises:
        ImageError: the prompts are for an image of another size.
    """
    if image.prompts and image.size is not None and image.size != (width, height):
        turned = image.size == (height, width)
        remedy = (
            "change `exif`, since width and height are swapped" if turned else "rescale its boxes, or fix that size"
        )
        raise ImageError(
            f"is {width} x {height} pixels, but its prompts are for {image.size[0]} x {image.size[1]}",
            file=image.file_name,
            remedy=remedy,
        )
    fitted, problems, masks = [], [], _Masks(image.prompts, width, height, turn)
    for raw in image.prompts:
        prompt, lost = _fit(raw, width, height, masks)
        problems += [f"{image.file_name}: {text}" for text in lost]
        if prompt.box is not None or prompt.points is not None or prompt.mask is not None:
            fitted.append(prompt)
    return fitted, problems


def _fit(raw: RawPrompt, width: int, height: int, masks: _Masks) -> tuple[Prompt, list[str]]:
    """The parts of a prompt within the image, and messages about dropped parts."""
    lost = []
    box, points, mask = raw.box, raw.points, None
    shares = raw.xyxyn if raw.input_box is None else divided(raw.input_box, smart_resize(width, height))
    if shares is not None:
        x0, y0, x1, y1 = shares
        box = (x0 * width, y0 * height, x1 * width, y1 * height)
    if box is not None:
        numbers = ", ".join(f"{n:g}" for n in box)
        x0, y0, x1, y1 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))
        box = (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
        if box is None:
            size = f"{width} x {height} pixels"
            lost.append(f"box {raw.annotation_id} ({numbers}) lies outside the image of {size}; skipped")
    if points is not None:
        x, y = points[:, 0], points[:, 1]
        inside = (x >= 0) & (y >= 0) & (x <= width) & (y <= height)
        if not inside.all():
            outside = f"{len(points) - inside.sum()} of {len(points)}"
            lost.append(f"points of prompt {raw.annotation_id} lie outside the image: {outside}; skipped")
        points = points[inside] if inside.any() else None
    if raw.mask is not None:
        mask, reason = masks.read(raw)
        if reason:
            lost.append(f"coarse mask of prompt {raw.annotation_id} {reason}; skipped")
    return Prompt(raw.annotation_id, raw.category_id, box, points, mask, raw.score), lost


class _Masks:
    """Reads the coarse masks of an image; each id map once."""

    def __init__(self, prompts: Sequence[RawPrompt], width: int, height: int, turn: Image.Transpose | None) -> None:
        self.width, self.height, self.turn = width, height, turn
        self._asked = {raw.mask.id for raw in prompts if isinstance(raw.mask, MappedObject) and not raw.mask.listed}
        self._maps: dict[Path, tuple[np.ndarray, frozenset[int]]] = {}

    def read(self, raw: RawPrompt) -> tuple[np.ndarray | None, str]:
        """The pixels of the coarse mask of a prompt, or None and the reason."""
        width, height = self.width, self.height
        try:
            mask = self._decoded(raw)
        except (ImageError, ValueError) as error:
            return None, f"cannot be read, {error}" if isinstance(error, ImageError) else str(error)
        if mask.shape == (width, height) != (height, width) and self.turn is not None:
            mask = np.asarray(Image.fromarray(mask).transpose(self.turn))
        if mask.shape != (height, width):
            return None, f"is {mask.shape[1]} x {mask.shape[0]} pixels, the image {width} x {height}"
        return (mask, "") if mask.any() else (None, "is empty")

    def _decoded(self, raw: RawPrompt) -> np.ndarray:
        source = raw.mask
        if isinstance(source, MappedObject):
            return self._mapped(source)
        if isinstance(source, Path):
            try:
                return read_mask(source)
            except ImageError:
                own = MappedObject(source, raw.annotation_id)
                if own.id not in self._map(source)[1]:
                    raise
                return self._mapped(own)
        if isinstance(source, NormalizedPolygon):
            source = [[n * (self.height if odd % 2 else self.width) for odd, n in enumerate(source.xyn)]]
        assert source is not None
        return decode_segmentation(source, self.width, self.height)

    def _mapped(self, source: MappedObject) -> np.ndarray:
        """The pixels of an object of an id map."""
        values, ids = self._map(source.path)
        if len(ids) < 3 and not source.listed:
            raise ImageError("one mask for several prompts", file=source.path, remedy="pass one file per prompt")
        if not source.listed and self._are_positions(ids):
            reason = f"a map of the positions 1 to {max(ids)}, which are no annotation ids"
            raise ImageError(reason, file=source.path, remedy="pass the folder idmaps in the output of the run")
        if source.id not in ids:
            reason = f"a map of {len(ids)} values from {min(ids)} to {max(ids)} without {source.id}"
            raise ImageError(reason, file=source.path, remedy="pass a map of annotation ids, or one file per prompt")
        mask: np.ndarray = values == source.id
        return mask

    def _are_positions(self, ids: frozenset[int]) -> bool:
        """Whether a map numbers as many objects as there are prompts, whose ids are others."""
        count = len(self._asked)
        return {*ids, 0} == {*range(count + 1)} and not self._asked <= ids

    def _map(self, path: Path) -> tuple[np.ndarray, frozenset[int]]:
        if path not in self._maps:
            values = read_ids(path)
            self._maps[path] = values, frozenset(np.unique(values).tolist())
        return self._maps[path]


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
