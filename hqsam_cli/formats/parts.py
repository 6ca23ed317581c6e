"""Objects that a file has as several polygons."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from .boxes import enclosing_box


def unite(shapes: Iterable[tuple[Hashable | None, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Annotations, polygons of the same key as one; None is a key of nobody, and what has no polygon stands alone."""
    objects: list[dict[str, Any]] = []
    known: dict[Hashable, dict[str, Any]] = {}
    for key, shape in shapes:
        is_part = key is not None and isinstance(shape.get("segmentation"), list)
        if not is_part or key not in known:
            objects.append(shape)
            known |= {key: shape} if is_part else {}
            continue
        whole = known[key]
        whole["segmentation"] = [*whole["segmentation"], *shape["segmentation"]]
        whole["bbox"] = xywh([n for polygon in whole["segmentation"] for n in polygon])
    return objects


def xywh(points: list[float]) -> list[float]:
    """The box around x, y, x, y, … as COCO has it."""
    x0, y0, x1, y1 = enclosing_box(points)
    return [x0, y0, x1 - x0, y1 - y0]


def turned_box(corner: tuple[float, float], across: tuple[float, float], down: tuple[float, float]) -> list[float]:
    """The box around a rectangle that is turned: one corner, and its sides as vectors."""
    (x, y), (ax, ay), (dx, dy) = corner, across, down
    return xywh([x, y, x + ax, y + ay, x + dx, y + dy, x + ax + dx, y + ay + dy])
