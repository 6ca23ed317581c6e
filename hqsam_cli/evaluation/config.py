"""What is evaluated and how, in one frozen record, and where the results go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..configs import Exif, MaskOutput
from ..errors import UsageError
from ..io.atomic import check_can_write

Protocol = Literal["paper", "deploy"]
PLOT_SUFFIXES = (".png", ".pdf", ".svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalConfig:
    """Everything that scores depend on, beside the data sets.

    Attributes:
        model: names or checkpoints; each is scored on every data set.
        data_root: folder of the named data sets.
        limit: score only the first images of each data set.
        detections: boxes of a detector in a file, instead of ground-truth boxes.
        coarse_masks: folder of coarse masks for the prompt `mask`.
        protocol: see `evaluation.protocols`; None is `paper` for the paper's four sets and `deploy` for others.
        prompt: see `evaluation.prompts`.
        mask_output: mask outputs to score; all that the model has where empty.
        refine: also score SAM's masks refined by CascadePSP.
        seed: random seed of drawn prompts and of the bootstrap.
        exif: how photos with an EXIF orientation are read where their ground truth fits both ways.
        device, dtype: where and in which precision to compute; `auto` chooses.
    """

    model: tuple[str, ...] = ("lite",)
    data_root: Path = Path("data")
    limit: int | None = None
    detections: Path | None = None
    coarse_masks: Path | None = None
    protocol: Protocol | None = None
    prompt: str = "box"
    mask_output: tuple[MaskOutput, ...] = ()
    refine: bool = False
    seed: int = 42
    exif: Exif = "apply"
    device: str = "auto"
    dtype: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalOutput:
    """Files that an evaluation writes; none by default.

    Attributes:
        json: all figures.
        per_image: CSV with the scores of each image.
        plot: PNG, PDF or SVG of boundary IoU by boundary width, or of IoU by the number of points or clicks.
        worst: how many images with the lowest IoU are drawn, and the folder for them.
        report: folder of an HTML page with tables, plots, and the worst and best images.
    """

    json: Path | None = None
    per_image: Path | None = None
    plot: Path | None = None
    worst: tuple[int, Path] | None = None
    report: Path | None = None

    @property
    def curves(self) -> bool:
        """Whether boundaries of several widths are scored."""
        return self.plot is not None or self.report is not None

    def check(self) -> None:
        """Raise an HqsamError unless all of it can be written."""
        if self.plot is not None and self.plot.suffix.lower() not in PLOT_SUFFIXES:
            raise UsageError("name it .png, .pdf or .svg", option="plot", value=self.plot)
        for path in self.paths():
            check_can_write(path / "file" if self.worst is not None and path == self.worst[1] else path)

    def paths(self) -> list[Path]:
        """All of it."""
        found = (self.json, self.per_image, self.plot, self.worst and self.worst[1])
        page = [] if self.report is None else [self.report / "index.html"]
        return [path for path in found if path is not None] + page
