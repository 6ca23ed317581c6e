"""Files of results that overlap, in every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def document(names: str, *, first: int, category: str = "cat", score: float = 0.5) -> dict[str, Any]:
    """COCO of an image of 20 x 10 pixels a letter, each with a box of 2 x 3 and one of 10 x 5; ids from `first`."""
    images = [{"id": n, "file_name": f"{name}.jpg", "width": 20, "height": 10} for n, name in enumerate(names, first)]
    annotations = [
        {
            "id": 2 * image["id"] + place,  # type: ignore[operator]
            "image_id": image["id"],
            "category_id": 1 + place,
            "bbox": [1.0, 1.0, *size],
            "segmentation": [[1, 1, 1 + size[0], 1, 1 + size[0], 1 + size[1], 1, 1 + size[1]]],
            "area": size[0] * size[1],
            "iscrowd": 0,
            "score": score + place / 4,
        }
        for image in images
        for place, size in enumerate(((2.0, 3.0), (10.0, 5.0)))
    ]
    categories = [{"id": 1, "name": category}, {"id": 2, "name": "dog"}]
    return {"info": {"model": "lite"}, "images": images, "annotations": annotations, "categories": categories}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Images a to d, ids 5 to 8."""
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(document("abcd", first=5)))
    return path


@pytest.fixture
def ndjson(tmp_path: Path) -> Path:
    """The same as lines, names of categories in the annotations."""
    made = document("abcd", first=5)
    names = {category["id"]: category["name"] for category in made["categories"]}
    lines = [
        {
            "file_name": image["file_name"],
            "image_id": image["id"],
            "width": 20,
            "height": 10,
            "annotations": [
                {**a, "category": names[a["category_id"]]} for a in made["annotations"] if a["image_id"] == image["id"]
            ],
            "error": None,
        }
        for image in made["images"]
    ]
    path = tmp_path / "lines.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
