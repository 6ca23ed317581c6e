"""Manifests of SageMaker Ground Truth: a line per image, with boxes under the name of each labeling job."""

from __future__ import annotations

from typing import Any

from ...formats.values import dict_or_empty, dicts_of
from ..prompt_file import PromptFile

SOURCE, METADATA = "source-ref", "-metadata"
BOX = ("left", "top", "width", "height")


def read_manifest(document: Any, file: PromptFile) -> bool:
    """Read the boxes of all labeling jobs, with the class names and confidences in their metadata."""
    lines = document if isinstance(document, list) else [document]
    if not any(isinstance(line, dict) and SOURCE in line for line in lines):
        return False
    file.numbered = False
    for number, line in enumerate(lines, 1):
        key = f"line {number}"
        line = dict_or_empty(line)
        jobs = {name: job for name, job in line.items() if isinstance(job, dict) and "annotations" in job}
        sizes = [size for job in jobs.values() for size in dicts_of(job.get("image_size"))]
        size = (sizes[0].get("width"), sizes[0].get("height")) if sizes else (None, None)
        file.add_image(key, line.get(SOURCE), key, size)
        if not jobs:
            file.lose("lines without boxes of a labeling job, skipped", key, key)
        for name, job in jobs.items():
            metadata = dict_or_empty(line.get(f"{name}{METADATA}"))
            names = dict_or_empty(metadata.get("class-map"))
            scores = [item.get("confidence") for item in dicts_of(metadata.get("objects"))]
            for place, item in enumerate(dicts_of(job["annotations"])):
                own = item.get("class_id")
                file.add(
                    key,
                    f"annotation {place + 1} of {name}",
                    names.get(str(own)),
                    category=None if str(own) in names else own,
                    box=[item.get(side) for side in BOX],
                    box_format="xywh",
                    # The confidence is 0 if a single worker drew the box.
                    score=(scores[place] if place < len(scores) else None) or None,
                )
    return True
