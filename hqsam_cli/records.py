"""The two records that cross package borders.

`Prompt` travels from whoever knows where the objects are (a box file, points, coarse masks, a
detector) to the model; `Instance` travels from the model to the writers. All coordinates are pixels
of the decoded image (after the EXIF policy), x to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Prompt:
    """One object to segment; at least one of `box`, `points`, `mask`, `frame` and `shares` is given.

    Attributes:
        annotation_id: id the result carries, unique within a run.
        category_id: COCO category the result carries.
        box: (x0, y0, x1, y1), pixels, corners rather than sizes.
        points: float array (n, 3) of x, y, label; label 1 is inside the object, 0 outside.
        mask: coarse mask to refine: a COCO segmentation (RLE or polygons), or the path of a PNG.
        frame: the prompt is the whole image, whatever its size turns out to be.
        shares: a box as `box`, in shares of the image's width and height, whatever they turn out to be.
        score: the detector's confidence, or None where nobody gave one.
    """

    annotation_id: int
    category_id: int = 1
    box: tuple[float, float, float, float] | None = None
    points: np.ndarray | None = None
    mask: Any = None
    frame: bool = False
    shares: tuple[float, float, float, float] | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class ImagePrompts:
    """All prompts of one image.

    Attributes:
        file_name: path of the image relative to the folder it was found in, with `/`.
        image_id: COCO image id.
        size: (width, height) that the prompt file claims, or None; prompts refer to that frame.
        prompts: in input order.
    """

    file_name: str
    image_id: int
    size: tuple[int, int] | None = None
    prompts: list[Prompt] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MaskCrop:
    """A binary mask of a whole image, held as the part where anything is set.

    Attributes:
        bits: bool array (h, w); rows and columns outside it are all False.
        x, y: position of `bits[0, 0]` in the image.
        width, height: size of the image.
    """

    bits: np.ndarray
    x: int
    y: int
    width: int
    height: int

    def full(self) -> np.ndarray:
        """The mask at the size of the image, bool (height, width)."""
        canvas = np.zeros((self.height, self.width), dtype=bool)
        h, w = self.bits.shape
        canvas[self.y : self.y + h, self.x : self.x + w] = self.bits
        return canvas


@dataclass(frozen=True, slots=True)
class Instance:
    """One mask the model made for one prompt.

    Attributes:
        prompt: what was asked.
        mask: the answer.
        sam_iou: SAM's own estimate of the mask's IoU; not clamped.
        mask_index: 0, or 0 to 2 among the three masks of a multimask run.
    """

    prompt: Prompt
    mask: MaskCrop
    sam_iou: float
    mask_index: int = 0
