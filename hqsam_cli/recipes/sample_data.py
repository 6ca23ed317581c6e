"""Generate `sample_data/`: `python -m hqsam_cli.recipes.sample_data sample_data`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..records import Annotation, CocoImage, MaskCrop
from .scenes import OBJECTS, Scene, render_scene

SEED = 2306
SCENES = {  # name: kinds, height, width
    "bicycle": (["wheel", "wheel", "blob"], 512, 768),
    "kites": (["kite", "kite"], 768, 512),
    "ferns": (["fern", "weed", "fern"], 512, 768),
    "fence": (["lattice", "tuft"], 576, 768),
    "hair": (["tuft", "tuft", "blob"], 512, 768),
    "meadow": (["weed", "fern", "weed", "blob"], 576, 768),
}
CATEGORIES = [{"id": i, "name": name} for i, name in enumerate(OBJECTS, 1)]
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92]


def sample_scene(name: str) -> Scene:
    """Render a scene by name, deterministically."""
    kinds, height, width = SCENES[name]
    seed = list(SCENES).index(name)
    for attempt in range(100):
        rng = np.random.default_rng((SEED, seed, attempt))
        scene = render_scene(rng, height, width, objects=len(kinds), kinds=kinds)
        # Every object must be visible, and all kinds in the title present.
        if sorted(scene.names) == sorted(kinds) and all(mask.mean() > 0.004 for mask in scene.masks):
            return scene
    raise AssertionError(f"no good scene {name} in 100 attempts")


def single_scene(number: int) -> Scene:
    """Render one thin object in its own scene, for the DIS layout."""
    kinds = [kind for kind in OBJECTS if kind != "blob"]
    kind = kinds[number % len(kinds)]
    return render_scene(np.random.default_rng((SEED, 1000 + number)), 480, 640, objects=1, kinds=[kind])


def main() -> None:
    """Write all sample data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    images: list[CocoImage] = []
    annotations: list[Annotation] = []
    for name in SCENES:
        scene = sample_scene(name)
        file_name = f"{name}.jpg"
        height, width = scene.image.shape[:2]
        images.append({"id": len(images) + 1, "file_name": file_name, "width": width, "height": height})
        _write(out / "images" / file_name, scene.image[..., ::-1], JPEG)
        for mask, kind in zip(scene.masks, scene.names, strict=True):
            crop = MaskCrop.whole(mask)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": images[-1]["id"],
                    "category_id": list(OBJECTS).index(kind) + 1,
                    "bbox": list(crop.tight_box()),
                    "area": int(mask.sum()),
                    "iscrowd": 0,
                    "segmentation": crop.rle,
                }
            )
            pixels = mask.astype(np.uint8) * 255
            _write(out / "masks" / file_name / f"{annotations[-1]['id']}.png", pixels, [cv2.IMWRITE_PNG_BILEVEL, 1])
    boxes = [{key: value for key, value in a.items() if key not in ("segmentation", "area")} for a in annotations]
    _write_coco(out / "boxes.json", images, boxes)
    _write_coco(out / "annotations.json", images, annotations)
    for number in range(6):
        scene = single_scene(number)
        stem = f"{number + 1:02d}_{scene.names[0]}"
        _write(out / "DIS5K" / "DIS-VD" / "im" / f"{stem}.jpg", scene.image[..., ::-1], JPEG)
        _write(out / "DIS5K" / "DIS-VD" / "gt" / f"{stem}.png", scene.masks[0].astype(np.uint8) * 255, [])


def _write(path: Path, pixels: np.ndarray, options: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), pixels, options):
        raise OSError(f"{path}: cannot be written")


def _write_coco(path: Path, images: list[CocoImage], annotations: Sequence[Mapping[str, object]]) -> None:
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
