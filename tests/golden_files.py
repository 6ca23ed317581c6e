"""What runs over the sample data write, as hashes that no library's version changes.

`python -m tests.golden_files` writes `tests/golden/`, after `RESULTS_REVISION` was raised.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from pycocotools import mask as rle

from hqsam_cli.batch.segment import segment_images
from hqsam_cli.configs import PolygonConfig, PromptConfig, SegmentConfig
from hqsam_cli.configs.run_identity import RESULTS_REVISION
from hqsam_cli.formats import WRITERS
from hqsam_cli.inference.preprocess import ResizedImage, ResizeLongestSide
from hqsam_cli.records import Instance, MaskCrop, Prompt

SAMPLES = Path(__file__).parents[1] / "sample_data"
GOLDEN = Path(__file__).parent / "golden"
MASKS, HASHES = GOLDEN / "masks.json", GOLDEN / "files.json"
BOXES = PromptConfig(boxes=str(SAMPLES / "boxes.json"))


class KnownMasks:
    """Answers each prompt of the sample data with the mask that `lite` made of it."""

    def __init__(self) -> None:
        self.known = {own["id"]: own for own in json.loads(MASKS.read_text())}

    def resize(self, image: np.ndarray) -> ResizedImage:
        return ResizedImage(image, ResizeLongestSide.of(image.shape[0], image.shape[1], 1024), image)

    def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        return [[self._instance(prompt) for prompt in own] for own in prompts]

    def _instance(self, prompt: Prompt) -> Instance:
        own = self.known[prompt.annotation_id]
        bits = rle.decode({**own["segmentation"], "counts": own["segmentation"]["counts"].encode()}).astype(bool)
        return Instance(prompt, MaskCrop.whole(bits), own["predicted_iou"])


def masks_of_lite(folder: Path) -> list[dict[str, Any]]:
    """The annotations of a run over the sample data with the embedded model."""
    config = SegmentConfig(prompts=BOXES, format=("coco",), dtype="float32", device="cpu")
    segment_images(SAMPLES / "images", folder, config)
    annotations: list[dict[str, Any]] = json.loads((folder / "instances.json").read_text())["annotations"]
    return annotations


def hashes_of_files(folder: Path) -> dict[str, str]:
    """A hash of each file that a run in all formats writes, by its path; of pictures their pixels count."""
    config = SegmentConfig(
        prompts=BOXES,
        format=tuple(WRITERS),
        polygons=PolygonConfig(segmentation="both"),
        dtype="float32",
        device="cpu",
    )
    with patch("hqsam_cli.batch.build._predictor", lambda *_: KnownMasks()):
        segment_images(SAMPLES / "images", folder, config)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(_content(path)).hexdigest()[:16]
        for path in files
        if path.name != "journal.ndjson"
    }


def _content(path: Path) -> bytes:
    """What of a file is to stay."""
    if path.suffix == ".png":
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert pixels is not None
        # The colors of a photo depend on who decodes its JPEG.
        return str(pixels.shape).encode() + (pixels if pixels.ndim == 2 else pixels[..., 3:]).tobytes()
    text = path.read_text("utf-8")
    text = re.sub(r'("(info|command|date_created|model_version|imagePath)":) ?("[^"]*"|\{[^}]*\})', r"\1 0", text)
    return re.sub(r"<(created|updated|dumped)>[^<]*<|[\w./%-]*sample_data", "", text).encode()


if __name__ == "__main__":
    with TemporaryDirectory() as here:
        kept = ("id", "segmentation", "predicted_iou")
        own = [{key: annotation[key] for key in kept} for annotation in masks_of_lite(Path(here, "masks"))]
        MASKS.write_text("[\n" + ",\n".join(map(json.dumps, own)) + "\n]\n")
        made = {"revision": RESULTS_REVISION, "files": hashes_of_files(Path(here, "files"))}
        HASHES.write_text(json.dumps(made, indent=1) + "\n")
