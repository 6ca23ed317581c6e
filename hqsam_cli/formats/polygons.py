"""Masks as polygons, for formats without RLE.

Readers rasterize polygons in two ways, see `rasterize`. An outline along pixel borders is correct for `pycocotools`
and one pixel too large for OpenCV and Pillow; one through pixel centers is correct for these and half a pixel too
small for `pycocotools`. Outlines here run a quarter of a pixel inside the border, where all give the same pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np

from ..inference.regions import fill_holes, remove_small_regions
from ..records import Annotation, MaskCrop, Polygons
from .joining import join
from .rasterize import ious

SMALLEST = 10  # pixels; smaller parts and holes are skipped


@dataclass(slots=True)
class PolygonCost:
    """Accuracy of the polygons of a run compared to the masks, as the readers of each format rasterize them.

    Attributes:
        replaced: number of masks whose polygons in the input were not kept.
    """

    masks: int = 0
    ious: dict[str, float] = field(default_factory=dict)
    lowest: dict[str, float] = field(default_factory=dict)
    dropped: int = 0
    replaced: int = 0

    def add(self, annotations: Iterable[Annotation]) -> None:
        """Add the annotations that have polygons."""
        for polygons in (annotation["polygons"] for annotation in annotations if "polygons" in annotation):
            self.masks += 1
            self.dropped += polygons["dropped"]
            for form, iou in polygons["ious"].items():
                self.ious[form] = self.ious.get(form, 0.0) + iou
                self.lowest[form] = min(self.lowest.get(form, 1.0), iou)

    def lines(self) -> list[str]:
        """The summary for the user; empty without polygons."""
        lines = [
            f"polygons in {form}: mean IoU with the masks {total / self.masks:.4f}, lowest {self.lowest[form]:.4f}"
            for form, total in sorted(self.ious.items())
        ]
        if self.replaced:
            lines.append(
                f"polygons that would be drawn otherwise, replaced by outlines of their masks: {self.replaced}"
            )
        if self.dropped:
            lines.append(f"parts and holes of fewer than {SMALLEST} pixels skipped: {self.dropped}")
        return lines


def mask_polygons(mask: MaskCrop, tolerance: float, forms: Collection[str]) -> Polygons:
    """Convert a mask to polygons, one per part; holes are connected to the nearest corner by a line.

    Args:
        tolerance: maximum distance from the mask outline in pixels. 0.35, half of √½, straightens staircases and
            changes almost no pixel.
        forms: formats for which the IoU with the mask is measured.
    """
    bits, parts = remove_small_regions(mask.bits, SMALLEST, keep_largest=True)
    bits, holes = fill_holes(bits, SMALLEST)
    found = [join(rings) + np.array([mask.x, mask.y]) for rings in _rings(bits, tolerance)]
    polygons = [ring.ravel().tolist() for ring in found]
    return {"parts": polygons, "ious": ious(polygons, mask, forms), "dropped": parts + holes}


def _rings(bits: np.ndarray, tolerance: float) -> list[list[np.ndarray]]:
    """The outlines of each part of a mask and of its holes, float (n, 2), n >= 3."""
    # Upsampled twice: contours run through the centers of the outermost quarter pixels.
    quarters = bits.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, hierarchy = cv2.findContours(quarters, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts: dict[int, list[np.ndarray]] = {}
    for number, contour in enumerate(contours):
        parent = int(hierarchy[0][number][3])
        ring = (_simplified(contour, 2 * tolerance) + 0.5) / 2
        parts.setdefault(number if parent < 0 else parent, []).insert(0 if parent < 0 else len(contours), ring)
    return list(parts.values())


def _simplified(contour: np.ndarray, tolerance: float) -> np.ndarray:
    """Simplify a contour (m, 1, 2) to at least 3 corners (n, 2); the tolerance is halved for thin shapes."""
    ring = cv2.approxPolyDP(contour, tolerance, True)
    while len(ring) < 3:
        tolerance /= 2
        ring = cv2.approxPolyDP(contour, tolerance, True)
    return np.asarray(ring[:, 0], np.float64)
