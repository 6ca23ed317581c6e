"""One evaluation from its settings to its rows: whichever kind of data set it is."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..configs import EvalConfig
from ..data.pairs import idle_masks, nested_images
from ..data.sets import HQ4, Dataset, dataset_pairs, find_dataset
from ..errors import HqsamError, UsageError
from ..formats.values import some_of
from ..progress import Progress
from ..weights.hub import file_hash
from .instances import GTImage, InstanceScorer, instance_set
from .mask_sets import MaskSetScorer
from .paper import paper_figures
from .pictures import Comparison, write_comparison
from .precision import precision_figures
from .prompts import PromptRule
from .protocols import Evaluator
from .refine import RefineMask
from .report import Row, image_samples, mask_set_rows, mean_rows, per_image_lines, percent_means
from .runner import Record, open_journal, score_items
from .video import VideoScorer, frame_boxes, video_figures, video_frames

BOUNDARY_RATIOS = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)  # of a plot


@dataclass(frozen=True, slots=True)
class Settings:
    """What to evaluate, beside the model.

    Attributes:
        datasets: of `choose_datasets`.
        rules: of the prompts, for sets of one object an image.
        identity: everything numbers depend on, beside the files of each data set; see `configs.identity`.
        coarse: folder of coarse masks for the rule `mask`.
        detections: a detector's boxes instead of the ground truth's.
        refine: adds a row of refined masks, on sets of one object an image.
    """

    config: EvalConfig
    datasets: Sequence[Dataset]
    rules: Sequence[PromptRule]
    identity: dict[str, str]
    coarse: Path | None = None
    detections: Path | None = None
    refine: RefineMask | None = None
    resume: bool = False


class Shows(Protocol):
    """A scorer whose images can be looked at."""

    def comparison(self, item: Any) -> Comparison: ...


@dataclass(slots=True)
class Results:
    """Rows of the table, lines an image, which images are broken, and what of the ground truth is lost.

    Attributes:
        sources: by data set and image, what can show it again, and what it is of.
        journals: what `resume` would go on from; to be removed once the results are safe.
    """

    rows: list[Row] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    sources: dict[tuple[str, str], tuple[Shows, Any]] = field(default_factory=dict)
    journals: list[Path] = field(default_factory=list)

    @property
    def can_be_shown(self) -> bool:
        """Whether there are images that have a score and can be shown again."""
        return bool(self.sources) and any("IoU" in line for line in self.lines)

    def extend(self, others: Results) -> None:
        """Take in those of another data set or model."""
        self.rows += others.rows
        self.lines += others.lines
        self.broken += others.broken
        self.lost += others.lost
        self.journals += others.journals
        self.sources |= others.sources

    def forget_journals(self) -> None:
        """Remove them: the results are where they were asked for."""
        for path in self.journals:
            path.unlink(missing_ok=True)


def choose_datasets(
    name: str,
    root: Path,
    rules: Sequence[PromptRule],
    *,
    detections: Path | None = None,
    refine: bool = False,
    pictures: str | None = None,
) -> list[Dataset]:
    """The data sets of a name: a key of the registry, `hq4`, or a folder.

    Args:
        pictures: the option that asks for pictures, if any.

    Raises:
        HqsamError: files are missing.
        UsageError: no such data set, or options that are not for it.
    """
    datasets = [find_dataset(own, root) for own in (HQ4 if name == "hq4" else (name,))]
    for dataset in datasets:
        one_object = dataset.kind == "masks"
        if one_object and detections is not None:
            raise UsageError(
                "only for coco, lvis, uvo, ytvis and davis",
                option="detections",
                remedy="leave them out: this set's boxes are of its masks",
            )
        if not one_object and [rule.kind for rule in rules] != ["box"]:
            raise UsageError(f"{dataset.title} is prompted by boxes", option="prompt", remedy="leave it out")
        misfit = None
        if not one_object:
            misfit = "refine" if refine else "plot" if pictures == "plot" else None
        if pictures == "worst" and (dataset.kind == "video" or detections is not None):
            raise UsageError(
                "only for images with their own ground truth",
                option="worst",
                remedy="leave out videos and `detections`",
            )
        if misfit is not None:
            raise UsageError(
                "only for sets of one object an image", option=misfit, remedy=f"leave it out for {dataset.title}"
            )
    return datasets


def evaluate(
    settings: Settings, evaluator: Evaluator, architecture: str, progress: Progress, model: str = ""
) -> Results:
    """Score data sets, and give their mean where there are several.

    Args:
        architecture: of the model, to find the paper's figures by.
        model: what its user calls it.

    Raises:
        HqsamError: files are damaged, or not one image could be scored.
        KeyboardInterrupt: interrupted; what is scored is kept for `resume`.
    """
    evaluation = _Evaluation(settings, evaluator, architecture, progress, Results())
    groups = [evaluation.rows(dataset) for dataset in settings.datasets]
    results = evaluation.results
    results.rows = [row for group in groups for row in group]
    if len(groups) > 1:
        results.rows += mean_rows(settings.config.dataset, architecture, groups)
    for row in results.rows:
        row.model, row.protocol = model, evaluator.protocol
    results.lines = [{"model": model, **line} for line in results.lines]
    return results


@dataclass(slots=True)
class _Evaluation:
    """What every kind of data set needs."""

    settings: Settings
    evaluator: Evaluator
    architecture: str
    progress: Progress
    results: Results

    def rows(self, dataset: Dataset) -> list[Row]:
        """Rows of one data set."""
        if dataset.kind == "masks":
            return self._mask_set(dataset)
        return self._instances(dataset) if dataset.kind == "instances" else self._video(dataset)

    def _mask_set(self, dataset: Dataset) -> list[Row]:
        settings = self.settings
        pairs = dataset_pairs(dataset, settings.coarse, settings.config.exif)
        idle = idle_masks(pairs, Path(dataset.images), Path(dataset.gt), ending=dataset.ending)
        nested = nested_images(Path(dataset.images), Path(dataset.gt))
        if nested:
            self._lose(f"{dataset.title}: images in folders below, left out: {len(nested)}, first {nested[0]}")
        if idle:
            self._lose(f"{dataset.title}: masks of no image: {len(idle)} ({some_of(path.name for path in idle)})")
        ratios = BOUNDARY_RATIOS if settings.config.curves else ()
        scorer = MaskSetScorer(
            self.evaluator, settings.rules, ratios=ratios, seed=settings.config.seed, refine=settings.refine
        )
        records = self._records(dataset, pairs, scorer)
        return mask_set_rows(dataset.key, self.architecture, records, settings.rules, scorer.outputs, ratios)

    def _instances(self, dataset: Dataset) -> list[Row]:
        from_gt = self.settings.detections is None
        whole = instance_set(dataset, self.settings.detections)
        for text in whole.problems:
            self._lose(text)
        records = self._records(
            dataset, whole.images, InstanceScorer(self.evaluator, from_gt=from_gt, exif=self.settings.config.exif)
        )
        rows = []
        for output in self.evaluator.outputs:
            figures = precision_figures(whole, records, output)
            scores = [score for record in records if not record["error"] for score in record["scores"][output]]
            if scores:
                figures = {**percent_means(scores), **figures}
            row = self._row(dataset, "ground-truth boxes" if from_gt else "detections", output, records, figures)
            row.samples = image_samples(
                {record["file_name"]: record["scores"][output] for record in records if not record["error"]}
            )
            rows.append(row)
        return rows

    def _video(self, dataset: Dataset) -> list[Row]:
        file = self.settings.detections
        scorer = VideoScorer(self.evaluator, None if file is None else frame_boxes(file))
        records = self._records(dataset, video_frames(dataset), scorer)
        prompt = "ground-truth boxes" if file is None else "boxes of a file"
        return [
            self._row(dataset, prompt, output, records, video_figures(records, output))
            for output in self.evaluator.outputs
        ]

    def _lose(self, text: str) -> None:
        """Say what of the ground truth cannot count."""
        self.results.lost.append(text)
        self.progress.on_problem(text)

    def _row(
        self, dataset: Dataset, prompt: str, output: str, records: Sequence[Record], figures: dict[str, float]
    ) -> Row:
        n = sum(record["error"] is None for record in records)
        paper = paper_figures(dataset.key, self.architecture, prompt, output)
        return Row(dataset.key, prompt, output, n, figures, paper)

    def _records(self, dataset: Dataset, items: Sequence[Any], scorer: Any) -> list[Record]:
        """Records of the items; their lines and what is broken among them go to the results."""
        settings = self.settings
        items = items[: settings.config.limit]
        self.progress.on_start(len(items), 0, title=dataset.title)
        with open_journal(self._identity(dataset), resume=settings.resume) as journal:
            self.results.journals.append(journal.path)
            records = score_items(items, scorer.loaded, scorer.record, journal, self.progress.on_record)
        errors = [record["error"] for record in records if record["error"] is not None]
        if len(errors) == len(records):
            raise HqsamError(
                f"not one of {len(records)} images could be scored",
                value=dataset.title,
                remedy=f"the first: {errors[0]}",
            )
        self.results.broken += errors
        self.results.lines += per_image_lines(dataset.key, records)
        if hasattr(scorer, "comparison"):
            self.results.sources |= {(dataset.key, item.name): (scorer, item) for item in items}
        return records

    def _identity(self, dataset: Dataset) -> dict[str, str]:
        """All that the numbers of a data set depend on: with the places of its files, as names are not unique."""
        settings = self.settings
        return {
            **settings.identity,
            "dataset": dataset.key,
            "images": str(Path(dataset.images).resolve()),
            "ground truth": str(Path(dataset.gt).resolve()),
            "detections": "" if settings.detections is None else file_hash(settings.detections),
            "coarse": "" if settings.coarse is None else str(settings.coarse.resolve()),
        }


def write_cases(folder: Path, count: int, results: Results, *, best: bool = False) -> list[Path]:
    """Pictures of the images with the lowest IoU, or the highest, first: photo, gt and every mask output."""
    scored = [line for line in results.lines if "IoU" in line]
    own = [line for line in scored if line["prompt"] == scored[0]["prompt"]]
    output = own[-1]["mask_output"]
    ious: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for line in own:
        ious[line["dataset"], line["image"]][line["mask_output"]] = line["IoU"]
    ranked = sorted(((found[output], place) for place, found in ious.items() if output in found), reverse=best)
    paths = []
    for rank, (value, place) in enumerate(ranked[:count], 1):
        scorer, item = results.sources[place]
        dataset, image = place
        stem = os.path.splitext(image)[0] if isinstance(item, GTImage) else image
        paths.append(folder / f"{rank:03d}_{dataset}_{stem.replace('/', '_')}_{100 * value:.0f}.png")
        write_comparison(paths[-1], scorer.comparison(item), ious[place])
    return paths
