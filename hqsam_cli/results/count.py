"""What is in results: how many, how large and how sure, by category."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .edit import area
from .stream import Results

QUANTILES = (0.05, 0.5, 0.95)


@dataclass(slots=True)
class _Counts:
    """Of one category."""

    areas: array[float] = field(default_factory=lambda: array("f"))
    scores: array[float] = field(default_factory=lambda: array("f"))

    def summary(self) -> dict[str, Any]:
        """As `stats` has it."""
        return {
            "annotations": len(self.areas),
            "area": _quantiles(self.areas),
            "score": _quantiles(self.scores),
        }


def stats(results: Results) -> dict[str, Any]:
    """Images, those with annotations, those that failed, annotations, and by category also quantiles of areas, scores.

    Quantiles are `[0.05, 0.5, 0.95]` of areas in pixels, and of scores where there are any, else null.
    """
    images = failed = 0
    for image in results.images():
        images += 1
        failed += image.get("error") is not None
    names = {category["id"]: str(category.get("name")) for category in results.categories}
    counts: dict[str, _Counts] = {name: _Counts() for name in names.values()}
    busy = set()
    for annotation in results.annotations():
        number = annotation.get("category_id")
        own = counts.setdefault(names.get(number, f"category {number}"), _Counts())
        own.areas.append(area(annotation))
        if annotation.get("score") is not None:
            own.scores.append(annotation["score"])
        busy.add(annotation["image_id"])
    categories = {name: own.summary() for name, own in counts.items()}
    return {
        "kind": results.kind,
        "images": images or len(busy),
        "with_annotations": len(busy),
        "failed": failed,
        "annotations": sum(own["annotations"] for own in categories.values()),
        "categories": categories,
    }


def _quantiles(values: array[float]) -> list[float] | None:
    if not values:
        return None
    return [round(float(n), 4) for n in np.quantile(np.frombuffer(values, np.float32), QUANTILES)]
