"""Dataset of oriented boxes for ultralytics: `yolo-obb/`, as `yolo-seg/`."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..records import Annotation
from .oriented import oriented_box
from .yolo_seg import YoloSegWriter


class YoloObbWriter(YoloSegWriter):
    """A line is an object: its class, and the four corners of the smallest rectangle around its mask.

    Corners outside the image are moved to its border, since ultralytics rejects labels with them.
    """

    name: ClassVar[str] = "yolo-obb"

    def outline(self, annotation: Annotation, width: int, height: int) -> np.ndarray | None:
        """See `YoloSegWriter`."""
        box = oriented_box(annotation["segmentation"], width, height)
        return None if box is None else (box.corners() / [width, height]).clip(0, 1)
