"""An evaluator whose masks are known, so that scores can be counted by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hqsam_cli.configs import MaskOutput
from hqsam_cli.data.sets import Dataset
from hqsam_cli.evaluation.protocols import Evaluator, PreparedImage
from hqsam_cli.records import Prompt

Answers = dict[MaskOutput, tuple[list[np.ndarray], list[float]]]
MaskRule = Callable[[np.ndarray, Prompt, str], np.ndarray]


class KnownMasks(Evaluator):
    """Answers with `rule(image, prompt, output)` instead of asking a model; estimates are 0.5."""

    def __init__(self, rule: MaskRule) -> None:
        self.protocol = "deploy"
        self.outputs = ("sam", "sum")
        self.rule = rule

    def prepare(self, image: np.ndarray) -> PreparedImage:
        return image  # type: ignore[return-value]

    def masks(
        self, photo: PreparedImage, prompts: list[Prompt], outputs: Sequence[MaskOutput] | None = None
    ) -> Answers:
        image: np.ndarray = photo  # type: ignore[assignment]
        wanted = self.outputs if outputs is None else outputs
        return {name: ([self.rule(image, p, name) for p in prompts], [0.5] * len(prompts)) for name in wanted}


def fill_box(image: np.ndarray, prompt: Prompt, output: str) -> np.ndarray:
    """The box filled; for `sam` only its upper half."""
    assert prompt.box is not None
    x0, y0, x1, y1 = (round(n) for n in prompt.box)
    mask = np.zeros(image.shape[:2], bool)
    mask[y0 : (y0 + y1) // 2 if output == "sam" else y1, x0:x1] = True
    return mask


@pytest.fixture
def box_filler() -> KnownMasks:
    return KnownMasks(fill_box)


def dataset(folder: Path, **options: Any) -> Dataset:
    """A set of many objects an image, described by `a.json`."""
    return Dataset("own", "own", "instances", str(folder), str(folder / "a.json"), 0, "", "", "", **options)


def encoded(mask: np.ndarray) -> dict[str, Any]:
    """The RLE of a mask as JSON has it."""
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": rle["size"], "counts": rle["counts"].decode()}
