"""The records that cross package borders.

`RawPrompt` is what a file said of an object; fit to the decoded image it is a `Prompt`, which travels to the model, as
do those of a detector. `Instance` travels from the model to the writers.
All coordinates are pixels of the decoded image (after the EXIF policy), x to the right and y down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

# COCO's RLE, compressed or a list of counts, or its polygons, as a file gives them: nothing in them is believed.
Segmentation: TypeAlias = dict[str, Any] | list[Any]
Box: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class PolygonShares:
    """A polygon x, y, x, y, … in shares of the image's width and height."""

    xyn: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RawPrompt:
    """What a file said of one object; at least one of `box`, `xyxyn`, `points`, `mask` and `whole_image` is given.

    Attributes:
        annotation_id: id the result carries, unique within a run.
        category_id: COCO category the result carries.
        box: (x0, y0, x1, y1), pixels, corners rather than sizes.
        points: float array (n, 3) of x, y, label; label 1 is inside the object, 0 outside.
        mask: coarse mask to refine: a COCO segmentation, a polygon in shares, or the path of a mask file.
        whole_image: the prompt is the box of the image, whatever its size turns out to be.
        xyxyn: a box as `box`, in shares of the image's width and height, whatever they turn out to be.
        score: the detector's confidence, or None where nobody gave one.
    """

    annotation_id: int
    category_id: int = 1
    box: Box | None = None
    points: np.ndarray | None = None
    mask: Segmentation | PolygonShares | Path | None = None
    whole_image: bool = False
    xyxyn: Box | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """One object to segment in an image that is decoded; at least one of `box`, `points` and `mask` is given.

    Attributes:
        annotation_id, category_id, score: as in `RawPrompt`.
        box: (x0, y0, x1, y1) within the image.
        points: float array (n, 3) of x, y, label, within the image.
        mask: coarse mask to refine, bool (H, W).
    """

    annotation_id: int = 1
    category_id: int = 1
    box: Box | None = None
    points: np.ndarray | None = None
    mask: np.ndarray | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class ImagePrompts:
    """What files said of one image.

    Attributes:
        file_name: path of the image relative to the folder it was found in, with `/`.
        image_id: COCO image id.
        size: (width, height) that the prompt file claims, or None; prompts refer to that size.
        prompts: in input order.
        dropped: how many more there were, which a threshold did not let through.
        mentioned: whether a prompt file says what is in the image, be it nothing; None where there is no such file.
    """

    file_name: str
    image_id: int
    size: tuple[int, int] | None = None
    prompts: list[RawPrompt] = field(default_factory=list)
    dropped: int = 0
    mentioned: bool | None = None


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

    @classmethod
    def whole(cls, bits: np.ndarray) -> MaskCrop:
        """The mask of bits that are as large as the image, bool (height, width)."""
        height, width = bits.shape
        return cls(bits, 0, 0, width, height)

    def tight_box(self) -> tuple[int, int, int, int]:
        """x, y, width and height of the set pixels in the image; zeros where there are none."""
        rows, columns = np.flatnonzero(self.bits.any(axis=1)), np.flatnonzero(self.bits.any(axis=0))
        if not len(rows):
            return 0, 0, 0, 0
        top, left = int(rows[0]), int(columns[0])
        return self.x + left, self.y + top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1

    def full(self) -> np.ndarray:
        """The mask at the size of the image, bool (height, width)."""
        canvas = np.zeros((self.height, self.width), dtype=bool)
        h, w = self.bits.shape
        canvas[self.y : self.y + h, self.x : self.x + w] = self.bits
        return canvas


@dataclass(frozen=True, slots=True)
class AlphaCrop:
    """How sure a model is of each pixel, where that is more than nothing.

    Attributes:
        values: uint8 (h, w), 255 times the sigmoid of the logits.
        x, y: position of `values[0, 0]` in the image.
    """

    values: np.ndarray
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One mask the model made for one prompt.

    Attributes:
        prompt: what was asked.
        mask: the answer.
        predicted_iou: SAM's own estimate of the mask's IoU; not clamped.
        mask_index: 0, or 0 to 2 among the three masks of a multimask run.
        more: further keys of its annotation.
        alpha: where the predictor was asked for it.
        sam: plain SAM's answer to the same prompt, where it was asked for.
    """

    prompt: Prompt
    mask: MaskCrop
    predicted_iou: float
    mask_index: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)
    alpha: AlphaCrop | None = None
    sam: Instance | None = None

    @property
    def score(self) -> float:
        """The detector's confidence times the predicted IoU, 0 to 1."""
        detector = 1.0 if self.prompt.score is None else self.prompt.score
        return min(max(detector * self.predicted_iou, 0.0), 1.0)
