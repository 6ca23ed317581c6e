"""Statistics of results: counts, areas and scores per category."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

from ..formats.values import number_or_none
from .edit import area
from .stream import Results

QUANTILES = (0.05, 0.5, 0.95)


def stats(results: Results) -> dict[str, Any]:
    """Count images (all, annotated, failed), annotations and empty masks; areas and scores per category.

    Areas in pixels and scores are given as `QUANTILES`, null if there are none.
    """
    images = failed = empty = 0
    for image in results.images():
        images += 1
        failed += image.get("error") is not None
    names: dict[int | None, str] = {category["id"]: str(category.get("name")) for category in results.categories}
    areas, scores = ({name: array("f") for name in names.values()} for _ in range(2))
    with_annotations = set()
    for annotation in results.annotations():
        number = annotation.get("category_id")
        name = names.get(number, f"category {number}")
        areas.setdefault(name, array("f")).append(area(annotation))
        empty += bool(annotation.get("segmentation")) and number_or_none(annotation.get("area")) == 0
        if (score := number_or_none(annotation.get("score"))) is not None:
            scores.setdefault(name, array("f")).append(score)
        with_annotations.add(annotation["image_id"])
    return {
        "kind": results.kind,
        "images": images or len(with_annotations),
        "with_annotations": len(with_annotations),
        "failed": failed,
        "annotations": sum(map(len, areas.values())),
        "empty_masks": empty,
        "categories": {
            name: {"annotations": len(own), "area": _quantiles(own), "score": _quantiles(scores.get(name))}
            for name, own in areas.items()
        },
    }


def _quantiles(values: array[float] | None) -> list[float] | None:
    if not values:
        return None
    return [round(float(n), 4) for n in np.quantile(np.frombuffer(values, np.float32), QUANTILES)]
