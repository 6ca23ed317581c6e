"""Prompts in COCO form, and what is read of them."""

from __future__ import annotations

from typing import Any

from hqsam_cli.prompts.table import PromptTable


def instances(boxes: list[tuple[Any, ...]], names: dict[Any, str], **more: Any) -> dict[str, Any]:
    """COCO instances from (id, image id, score) and image names by id."""
    return {
        "images": [{"id": key, "file_name": name} for key, name in names.items()],
        "annotations": [
            {"image_id": image, "bbox": [n, 0, 5, 5]}
            | ({} if number is None else {"id": number})
            | ({} if not score else {"score": score[0]})
            for n, (number, image, *score) in enumerate(boxes)
        ],
        **more,
    }


def ids(table: PromptTable, name: str) -> list[int]:
    return [prompt.annotation_id for prompt in table.for_image(name).prompts]
