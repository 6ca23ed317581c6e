"""One evaluation from its settings to its rows: whichever kind of data set it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..errors import HqsamError, UsageError
from .datasets import HQ4, Dataset, MaskPair, found_dataset, mask_pairs
from .instances import InstanceScorer, instance_set, precision_figures
from .mask_sets import MaskSetScorer
from .paper import paper_figures
from .prompts import PromptRule, random_generator
from .protocols import Evaluator
from .report import Row, mask_set_rows, mean_rows, per_image_lines
from .runner import Record, evaluated_records, evaluation_journal
from .video import VideoScorer, frame_boxes, video_figures, video_frames

BOUNDARY_RATIOS = (0.0025, 0.005, 0.01, 0.04, 0.08)  # of a plot, beside 0.02


@dataclass(frozen=True, slots=True)
class Settings:
    """What to evaluate, beside the model.

    Attributes:
        dataset: a key of the registry, `hq4`, or a folder.
        rules: of the prompts, for sets of one object an image.
        coarse: folder of coarse masks for the rule `mask`.
        detections: a detector's boxes instead of the truth's.
        limit: only so many images, the first ones.
        curves: score the boundary at several widths.
        flags: everything numbers depend on, by name; see `Journal`.
    """

    dataset: str
    root: Path
    rules: Sequence[PromptRule]
    flags: dict[str, str]
    coarse: Path | None = None
    detections: Path | None = None
    limit: int | None = None
    seed: int = 0
    curves: bool = False
    resume: bool = False


@dataclass(slots=True)
class Results:
    """Rows of the table, lines an image, what was left out, and the pairs behind the worst of them."""

    rows: list[Row] = field(default_factory=list)
    lines: list[list[Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    scorer: MaskSetScorer | None = None
    pairs: dict[tuple[str, str], MaskPair] = field(default_factory=dict)


class Progress(Protocol):
    """Whoever shows how far it is."""

    def on_dataset(self, title: str, images: int) -> None: ...

    def on_record(self, record: Record) -> None: ...

    def on_problem(self, text: str) -> None: ...


def evaluate(settings: Settings, evaluator: Evaluator, architecture: str, progress: Progress) -> Results:
    """Score a data set, or the four of `hq4` and their mean.

    Raises:
        HqsamError: files are missing, or not one image could be scored.
        KeyboardInterrupt: interrupted; what is scored is kept for `resume`.
    """
    names = HQ4 if settings.dataset == "hq4" else (settings.dataset,)
    datasets = [found_dataset(name, settings.root) for name in names]
    results = Results()
    groups = []
    for dataset in datasets:
        run = {"masks": _mask_set, "instances": _instances, "video": _video}[dataset.kind]
        groups.append(run(dataset, settings, evaluator, architecture, progress, results))
        results.rows += groups[-1]
    if len(groups) > 1:
        results.rows += mean_rows(settings.dataset, architecture, groups)
    return results


def _scored(
    dataset: Dataset,
    items: Sequence[Any],
    scorer: Any,
    settings: Settings,
    progress: Progress,
    results: Results,
) -> list[Record]:
    """Records of the items, their lines and what is broken among them."""
    items = items[: settings.limit]
    progress.on_dataset(dataset.title, len(items))
    with evaluation_journal({**settings.flags, "data set": dataset.key}, resume=settings.resume) as journal:
        records = evaluated_records(items, scorer.loaded, scorer.record, journal, progress.on_record)
    errors = [record["error"] for record in records if record["error"] is not None]
    if len(errors) == len(records):
        raise HqsamError(f"{dataset.title}: not one of {len(records)} images could be scored; the first: {errors[0]}")
    results.broken += errors
    results.lines += per_image_lines(dataset.key, records)
    return records


def _mask_set(
    dataset: Dataset,
    settings: Settings,
    evaluator: Evaluator,
    architecture: str,
    progress: Progress,
    results: Results,
) -> list[Row]:
    if settings.detections is not None:
        raise UsageError("--detections: only for coco, lvis, uvo, ytvis and davis; this set's boxes are of its masks")
    pairs = mask_pairs(dataset, settings.coarse)
    ratios = BOUNDARY_RATIOS if settings.curves else ()
    scorer = MaskSetScorer(evaluator, settings.rules, ratios=ratios, seed=settings.seed)
    records = _scored(dataset, pairs, scorer, settings, progress, results)
    results.scorer = scorer
    results.pairs |= {(dataset.key, pair.name): pair for pair in pairs}
    return mask_set_rows(dataset.key, architecture, records, settings.rules, evaluator.outputs, ratios)


def _instances(
    dataset: Dataset,
    settings: Settings,
    evaluator: Evaluator,
    architecture: str,
    progress: Progress,
    results: Results,
) -> list[Row]:
    _boxes_only(settings, dataset)
    whole = instance_set(dataset, settings.detections)
    for text in whole.problems:
        progress.on_problem(text)
    from_truth = settings.detections is None
    scorer = InstanceScorer(evaluator, from_truth=from_truth)
    records = _scored(dataset, whole.images, scorer, settings, progress, results)
    prompt = "boxes of the truth" if from_truth else "detections"
    rows = []
    for output in evaluator.outputs:
        figures = precision_figures(whole, records, output)
        scores = [score for record in records if not record["error"] for score in record["scores"][output]]
        if scores:
            region, edge = (100 * sum(column) / len(scores) for column in zip(*scores, strict=True))
            figures = {"mIoU": region, "mBIoU": edge, **figures}
        n = sum(record["error"] is None for record in records)
        paper = paper_figures(dataset.key, architecture, prompt, output)
        rows.append(Row(dataset.key, prompt, output, n, figures, paper))
    return rows


def _video(
    dataset: Dataset,
    settings: Settings,
    evaluator: Evaluator,
    architecture: str,
    progress: Progress,
    results: Results,
) -> list[Row]:
    _boxes_only(settings, dataset)
    boxes = None if settings.detections is None else frame_boxes(settings.detections)
    records = _scored(dataset, video_frames(dataset), VideoScorer(evaluator, boxes), settings, progress, results)
    prompt = "boxes of the truth" if boxes is None else "boxes of a file"
    n = sum(record["error"] is None for record in records)
    return [
        Row(
            dataset.key,
            prompt,
            output,
            n,
            video_figures(records, output),
            paper_figures(dataset.key, architecture, prompt, output),
        )
        for output in evaluator.outputs
    ]


def _boxes_only(settings: Settings, dataset: Dataset) -> None:
    if [rule.kind for rule in settings.rules] != ["box"]:
        raise UsageError(f"--prompt: {dataset.title} is prompted by boxes; leave it out")


def write_worst(folder: Path, count: int, results: Results) -> list[Path]:
    """Pictures of the images with the lowest IoU, worst first: photo, truth and every mask output."""
    from .pictures import write_comparison

    scorer = results.scorer
    if scorer is None:
        raise UsageError("--worst: only for sets of one object an image")
    rule = scorer.rules[0]
    output = scorer.evaluator.outputs[-1]
    scored = [line for line in results.lines if line[2:4] == [rule.label, output]]
    paths = []
    for rank, line in enumerate(sorted(scored, key=lambda line: line[4])[:count], 1):
        pair = results.pairs[line[0], line[1]]
        loaded = scorer.loaded(pair)
        photo = scorer.evaluator.prepared(loaded.image)
        panels = {"truth": loaded.truth}
        if rule.kind != "clicks":
            prompts = scorer.prompts(rule, loaded, random_generator(scorer.seed, pair.name))
            for name, (masks, _) in scorer.evaluator.masks(photo, prompts).items():
                panels[name] = masks[0]
        paths.append(folder / f"{rank:03d}_{line[0]}_{pair.name}_{100 * line[4]:.0f}.png")
        write_comparison(paths[-1], loaded.image, panels)
    return paths
