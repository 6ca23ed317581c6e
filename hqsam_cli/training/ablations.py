"""The paper's ablation tables, trained on any base model and dataset."""

from __future__ import annotations

from dataclasses import dataclass

from ..configs import Learn

BASELINE = "sam"


@dataclass(frozen=True, slots=True)
class Ablation:
    """A table row: its folder name and what is trained; `sam` is the base model without training.

    `paper` holds the paper's mIoU and mBIoU, the mean over four datasets with ViT-L.
    """

    name: str
    title: str
    paper: tuple[float | None, float | None] = (None, None)
    learn: Learn = "hq"
    variant: str = "full"


@dataclass(frozen=True, slots=True)
class AblationScores:
    """Scores of a row and of the paper, in percent; the fields are the JSON keys."""

    name: str
    title: str
    miou: float | None
    mbiou: float | None
    epoch: int | None
    paper_miou: float | None
    paper_mbiou: float | None


_SAM = Ablation(BASELINE, "SAM", (79.5, 71.1))
_FULL = Ablation("full", "HQ-SAM", (89.1, 81.8))
_TOKEN = (87.3, 79.2)

TABLES = {
    "tokens": (
        _SAM,
        Ablation("context", "context tokens, SAM's feature", (85.2, 77.0), variant="context"),
        Ablation("boundary", "HQ token, SAM's feature, boundary loss", (87.2, 79.3), variant="boundary"),
        Ablation("scaled", "HQ token, SAM's feature, scaled by SAM's tokens", (87.0, 78.9), variant="scaled"),
        Ablation("token", "HQ token, SAM's feature", _TOKEN, variant="token"),
        Ablation("hq-context", "context tokens, HQ features", (88.9, 81.6), variant="hq-context"),
        _FULL,
    ),
    "fusion": (
        _SAM,
        Ablation("none", "SAM's feature", _TOKEN, variant="fusion-none"),
        Ablation("decoder", "SAM's feature, convolved", variant="fusion-decoder"),
        Ablation("early", "+ early feature", (None, 80.1), variant="fusion-early"),
        Ablation("final", "+ final feature", (None, 81.3), variant="fusion-final"),
        _FULL,
    ),
    "strategies": (
        _SAM,
        Ablation("all", "all of SAM, fine-tuned", (38.0, 12.2), learn="all"),
        Ablation("decoder", "SAM's decoder, fine-tuned", (87.6, 79.5), learn="decoder"),
        Ablation("output-token", "SAM's output token, fine-tuned", (87.6, 79.7), learn="token"),
        _FULL,
    ),
}
