"""What an evaluation is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .names import Exif, MaskOutput

Protocol = Literal["paper", "deploy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalConfig:
    """What the figures of an evaluation depend on, beside the files it reads.

    Attributes:
        dataset: a name, or a folder.
        protocol: `paper` or `deploy`; see `evaluation.protocols`.
        prompt: see `evaluation.prompts`.
        mask_output: rows of the table.
        limit: only so many images, the first ones.
        curves: the boundary is scored at several widths.
        refine: one more row, SAM's masks through CascadePSP.
        exif: how photos that EXIF turns are read where their ground truth would fit both ways.
    """

    dataset: str
    protocol: Protocol = "deploy"
    prompt: str = "box"
    mask_output: tuple[MaskOutput, ...] = ("sum",)
    limit: int | None = None
    seed: int = 42
    curves: bool = False
    refine: bool = False
    exif: Exif = "apply"
    device: str = "cpu"
    dtype: str = "float32"
