"""What users of the library get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .formats.annotations import make_annotation
from .records import Instance


@dataclass(frozen=True, slots=True)
class Prediction:
    """The n masks of one image, as arrays; `supervision.Detections` takes them as they are.

    Attributes:
        instances: the masks as crops.
        shape: (H, W) of the image.
    """

    instances: list[Instance]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.instances)

    @property
    def xyxy(self) -> np.ndarray:
        """Tight boxes of the masks, float32 (n, 4), corners in pixels; zeros where a mask is empty."""
        boxes = [instance.mask.tight_box() for instance in self.instances]
        return np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float32).reshape(-1, 4)

    @property
    def mask(self) -> np.ndarray:
        """bool (n, H, W)."""
        full = [instance.mask.full() for instance in self.instances]
        return np.stack(full) if full else np.zeros((0, *self.shape), bool)

    @property
    def confidence(self) -> np.ndarray:
        """Scores, float32 (n,)."""
        return np.array([instance.score for instance in self.instances], np.float32)

    @property
    def class_id(self) -> np.ndarray:
        """int (n,)."""
        return np.array([instance.prompt.category_id for instance in self.instances], int)

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """COCO annotations, with RLE that `pycocotools` reads."""
        return [make_annotation(instance, image_id, multimask=False) for instance in self.instances]
