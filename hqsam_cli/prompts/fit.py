"""Fit prompts to a decoded image: clip and validate them, and read their masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import ImageError
from ..formats.segmentation import decode_segmentation
from ..io.masks import read_ids, read_mask
from ..records import Box, ImagePrompts, MappedObject, NormalizedPolygon, Prompt, RawPrompt
from .boxes import divided, smart_resize


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
        box = _clip(box, width, height)
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


def _clip(box: Box, width: int, height: int) -> Box | None:
    """Clip a box to the image; None if it is outside."""
    x0, y0, x1, y1 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


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
