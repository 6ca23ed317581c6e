"""Run an evaluation: every model on every dataset."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from .. import __version__
from ..batch.interrupt import Interrupt
from ..configs import VERSION, EvalConfig, EvalOutput, MaskOutput, Protocol, digest, identity
from ..data.sets import HQ4, Dataset, dataset_pairs, find_dataset
from ..errors import HqsamError, UsageError
from ..inference.device import Compute, resolve_compute
from ..inference.predictor import prepare_for_inference
from ..inference.windows import make_predictor
from ..io.atomic import check_can_write, write_file
from ..progress import SILENT, Progress
from ..weights.checkpoints import load_checkpoint
from ..weights.hub import file_hash, find_checkpoint
from ..weights.registry import check_hq, infer_architecture, no_hq_message
from .coco_set import read_coco_set
from .differences import Difference, differences
from .html_report import CASES, PAGE, write_page
from .instances import InstanceTask
from .mask_sets import MaskSet
from .paper import paper_figures
from .plots import write_comparison, write_curves
from .prompts import PromptRule, prompt_rules
from .protocols import Evaluator
from .refine import cascadepsp
from .rows import Row, mean_rows
from .scores import ImageLine, ImageScores, ScoreLog, Task, empty_notes, image_lines, score_images
from .video import VideoTask, frame_boxes, video_frames

PLOT_SUFFIXES = (".png", ".pdf", ".svg")
SCHEMA = 1  # version of the JSON schema, see docs/evaluate.md


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model: its name as given, the SHA-256 of its checkpoint, and its input size in pixels."""

    name: str
    architecture: str
    sha256: str
    image_size: int


@dataclass(slots=True)
class Evaluation:
    """Results of an evaluation.

    `problems` describe what the figures leave out: ground truth, such as unmatched masks, and results beyond a limit;
    `notes` describe empty masks.
    """

    config: EvalConfig
    datasets: list[str]  # names as given
    compute: Compute
    models: list[EvaluatedModel] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)  # the table
    differences: list[Difference] = field(default_factory=list)  # to SAM and to the first model
    lines: list[ImageLine] = field(default_factory=list)  # scores of each image
    failed: list[str] = field(default_factory=list)  # one message per image without scores
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    logs: list[ScoreLog] = field(default_factory=list)  # per-image scores on disk, for `resume`
    written: list[Path] = field(default_factory=list)  # output files

    def to_dict(self) -> dict[str, object]:
        """Convert to the JSON object described in docs/evaluate.md."""
        config = self.config
        return {
            "schema": SCHEMA,
            "version": __version__,
            "models": [asdict(model) for model in self.models],
            "datasets": self.datasets,
            "data_root": str(config.data_root),
            "prompt": config.prompt,
            "mask_outputs": list(dict.fromkeys(row.output for row in self.rows)),
            "limit": config.limit,
            "seed": config.seed,
            "exif": config.exif,
            "refine": config.refine,
            "windows": config.windows,
            "detections": None if config.detections is None else str(config.detections),
            "device": self.compute.type,
            "dtype": self.compute.dtype_name,
            "left_out": self.failed,
            "problems": self.problems,
            "notes": self.notes,
            "rows": [row.to_dict() for row in self.rows],
            "differences": [difference.to_dict() for difference in self.differences],
        }

    def remove_logs(self) -> None:
        """Delete the score logs used by `resume`, after the results are written."""
        for path in (log.path for log in self.logs if log.path is not None):
            path.unlink(missing_ok=True)


def evaluate(datasets: Sequence[str], config: EvalConfig | None = None, progress: Progress = SILENT) -> Evaluation:
    """Evaluate models on datasets.

    Args:
        datasets: dataset names (`hqsam eval --list`), or folders.

    Raises:
        UsageError: conflicting options, or an unknown dataset or model.
        HqsamError: files are missing or damaged, or no image of a dataset can be scored.
        KeyboardInterrupt: on SIGINT or SIGTERM; `resume` continues.
    """
    config = config or EvalConfig()
    output = config.output
    names, rules = list(dict.fromkeys(datasets)), prompt_rules(config.prompt)
    of_paper: Sequence[str] = () if rules[0].kind == "clicks" else (*HQ4, "hq4")
    protocols: dict[str, Protocol] = {
        name: config.protocol or ("paper" if name in of_paper else "deploy") for name in names
    }
    check_options(config, rules, protocols.values())
    written = output_paths(output)
    sets = find_datasets(names, config, rules)
    compute = resolve_compute(config.device, config.dtype)
    result = Evaluation(config, names, compute, written=written)
    pictures: dict[str, list[Path]] = {}
    for model in dict.fromkeys(config.model):  # sequentially, so that only one is in memory
        loaded = load_evaluator(model, config, compute, result, progress)
        first, tasks = len(result.lines), {}
        for name in names:
            evaluator = copy(loaded)  # images are rendered after all datasets are scored
            evaluator.protocol = protocols[name]
            groups = []
            for dataset in sets[name]:
                task = tasks[dataset.key] = make_task(dataset, evaluator, config, rules, curves=output.curves)
                log = ScoreLog(_log_path(dataset, evaluator, result), resume=config.resume)
                result.logs.append(log)
                images = _score(task, dataset, log, result, progress)
                result.lines += image_lines(model, dataset.key, images)
                groups.append(task.rows(images))
            means = mean_rows(name, groups) if len(groups) > 1 else []
            for row in [*(row for group in groups for row in group), *means]:
                paper = paper_figures(row.dataset, result.models[-1].architecture, row.prompt, row.output)
                result.rows.append(replace(row, model=model, protocol=protocols[name], paper=paper))
        lines = result.lines[first:]
        if output.worst is not None:
            place = f"{len(result.models)}_{Path(model).name}" if len(config.model) > 1 else ""
            draw_images(output.worst[1] / place, output.worst[0], lines, tasks)
        if output.report is not None:
            for title in ("worst", "best"):
                folder = output.report / title / str(len(result.models))
                pictures[f"The {title} of {model}"] = draw_images(folder, CASES, lines, tasks, best=title == "best")
    result.differences = differences(result.rows, config.seed)
    _write(result, rules, {title: paths for title, paths in pictures.items() if paths})
    return result


def check_options(config: EvalConfig, rules: Sequence[PromptRule], protocols: Collection[Protocol]) -> None:
    """Raise a UsageError for conflicting options, before anything is loaded."""
    clicks, wanted = rules[0].kind == "clicks", config.mask_output
    if unknown := [name for name in wanted if name not in get_args(MaskOutput)]:
        raise UsageError("use auto, sum, hq or sam", option="mask_output", value=unknown[0])
    if clicks and "paper" in protocols:
        raise UsageError("`prompt` clicks: clicks are placed on the image itself", remedy="omit `protocol` paper")
    if config.windows == "on" and "deploy" not in protocols:
        remedy = "omit it, or pass `protocol` deploy"
        raise UsageError("`protocol` paper segments whole images", option="windows", value="on", remedy=remedy)
    if config.refine and (clicks or (wanted and "sam" not in wanted)):
        remedy = "omit `prompt` clicks, or add `mask_output` sam"
        raise UsageError("refines SAM's masks", option="refine", remedy=remedy)
    for model in config.model:
        for name in wanted:
            check_hq(model, name)


def output_paths(output: EvalOutput) -> list[Path]:
    """Return all output files and folders. Raises an HqsamError if they cannot be written."""
    if output.plot is not None and output.plot.suffix.lower() not in PLOT_SUFFIXES:
        raise UsageError("use .png, .pdf or .svg", option="plot", value=output.plot)
    page = None if output.report is None else output.report / PAGE
    paths = [path for path in (output.json, output.per_image, output.plot, page) if path is not None]
    folder = [] if output.worst is None else [output.worst[1]]
    for path in [*paths, *(own / "file" for own in folder)]:
        check_can_write(path)
    return paths + folder


def find_datasets(names: Sequence[str], config: EvalConfig, rules: Sequence[PromptRule]) -> dict[str, list[Dataset]]:
    """Find the datasets of each name: a registered dataset, `hq4`, or a folder (keyed by path if names collide).

    Raises an HqsamError if files are missing, a UsageError for options that do not apply to a dataset.
    """
    sets = {
        name: [find_dataset(own, config.data_root) for own in (HQ4 if name == "hq4" else (name,))] for name in names
    }
    for dataset in (dataset for found in sets.values() for dataset in found):
        if dataset.kind == "masks":
            if config.detections is not None:
                remedy = "omit it: the boxes of this data set are computed from its masks"
                raise UsageError("only for coco, lvis, uvo, ytvis and davis", option="detections", remedy=remedy)
            continue
        if [rule.kind for rule in rules] != ["box"]:
            raise UsageError(f"{dataset.title} is prompted by boxes", option="prompt", remedy="omit it")
        if config.output.worst is not None and (dataset.kind == "video" or config.detections is not None):
            remedy = "omit videos and `detections`"
            raise UsageError("only for images with their own ground truth", option="worst", remedy=remedy)
        if config.refine or config.output.plot is not None:
            option, remedy = "refine" if config.refine else "plot", f"omit it for {dataset.title}"
            raise UsageError("only for data sets with one object per image", option=option, remedy=remedy)
    keys = Counter(dataset.key for found in sets.values() for dataset in found)
    return {
        name: [replace(own, key=name) if keys[own.key] > 1 else own for own in found] for name, found in sets.items()
    }


def load_evaluator(
    name: str, config: EvalConfig, compute: Compute, result: Evaluation, progress: Progress
) -> Evaluator:
    """Load a model and add it to the result. Raises a UsageError if it lacks a mask output."""
    checkpoint = find_checkpoint(name, progress.say)
    model = load_checkpoint(checkpoint)
    available: list[MaskOutput] = ["sam", "hq", "sum", "auto"] if model.has_hq else ["sam"]
    if absent := set(config.mask_output) - set(available):
        raise UsageError(no_hq_message(checkpoint, min(absent)))
    architecture = infer_architecture(model.state_dict()) or ""
    kind = "" if name == architecture else f" ({architecture})"
    progress.say(f"model {name}{kind} on {compute.name} in {compute.dtype_name}")
    result.models.append(EvaluatedModel(name, architecture, file_hash(checkpoint), model.image_size))
    prepared = prepare_for_inference(model, compute.device, compute.dtype)
    predictor = make_predictor(
        prepared, config.windows, dtype=compute.dtype, prompts_per_batch=compute.prompts_per_batch
    )
    outputs = [output for output in available if output in (config.mask_output or available)]
    return Evaluator(predictor, "deploy", outputs)


def make_task(
    dataset: Dataset, evaluator: Evaluator, config: EvalConfig, rules: Sequence[PromptRule], *, curves: bool
) -> Task[Any, Any]:
    """Create the task that scores a dataset of its kind."""
    if dataset.kind == "instances":
        coco_set = read_coco_set(dataset, config.detections)
        return InstanceTask(
            key=dataset.key,
            items=coco_set.images,
            evaluator=evaluator,
            problems=coco_set.problems,
            coco_set=coco_set,
            from_gt=config.detections is None,
            exif=config.exif,
        )
    if dataset.kind == "video":
        boxes = None if config.detections is None else frame_boxes(config.detections)
        frames, problems = video_frames(dataset)
        return VideoTask(key=dataset.key, items=frames, evaluator=evaluator, problems=problems, boxes=boxes)
    found = dataset_pairs(dataset, config.coarse_masks, config.exif)
    refine = cascadepsp(str(evaluator.predictor.model.device)) if config.refine else None
    return MaskSet(
        key=dataset.key,
        items=found.pairs,
        evaluator=evaluator,
        problems=found.problems(),
        rules=rules,
        seed=config.seed,
        curves=curves and rules[0].kind not in ("clicks", "points"),
        refine=refine,
    )


def _score(
    task: Task[Any, Any], dataset: Dataset, log: ScoreLog, result: Evaluation, progress: Progress
) -> list[ImageScores]:
    """Score the images of a dataset that are not in the log; failures and problems are added to the result.

    Raises a KeyboardInterrupt on SIGINT or SIGTERM, after the current image is logged.
    """
    for text in task.problems:
        progress.on_problem(text)
    result.problems += task.problems
    items = task.items[: result.config.limit]
    left = [item for item in items if item.name not in log.images]
    progress.on_start(len(items), len(items) - len(left), title=dataset.title)
    with Interrupt() as interrupt, closing(score_images(task, left)) as scored:
        for image in scored:
            log.append(image)
            if image.error is not None:
                progress.on_failure(image.error)
            progress.advance()
            if interrupt.wanted:
                raise KeyboardInterrupt
    images = [log.images[item.name] for item in items]
    failed = [image.error for image in images if image.error is not None]
    if len(failed) == len(images):
        remedy = f"the first: {failed[0]}" if failed else ""
        raise HqsamError(f"none of {len(images)} images could be scored", value=dataset.title, remedy=remedy)
    result.failed += failed
    empty, beyond = empty_notes(dataset.title, images), task.notes(images)
    for text in (*empty, *beyond):
        progress.on_problem(text)
    result.notes += empty
    result.problems += beyond
    return images


def _log_path(dataset: Dataset, evaluator: Evaluator, result: Evaluation) -> Path:
    """Path of a dataset's score log in the user cache, unique to everything that affects the scores."""
    config = result.config
    resolved = replace(
        config,
        model=(),
        protocol=evaluator.protocol,
        mask_output=evaluator.outputs,
        device=result.compute.type,
        dtype=result.compute.dtype_name,
    )
    known = identity(
        resolved,
        model=result.models[-1].sha256,
        dataset=dataset.key,
        images=str(Path(dataset.images).resolve()),
        gt=str(Path(dataset.gt).resolve()),
        curves=str(config.output.curves),
        coarse="" if config.coarse_masks is None else str(config.coarse_masks.resolve()),
        detections="" if config.detections is None else file_hash(config.detections),
    )
    del known[VERSION]  # resume also after an upgrade
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "hqsam" / "eval" / digest(*sorted(known.items())) / "scores.ndjson"


def draw_images(
    folder: Path, count: int, lines: Sequence[ImageLine], tasks: Mapping[str, Task[Any, Any]], *, best: bool = False
) -> list[Path]:
    """Render the images with the lowest (or highest) IoU of the last mask output: image, ground truth and masks."""
    scored = [line for line in lines if "IoU" in line.metrics]
    own = [line for line in scored if line.prompt == scored[0].prompt]
    ious: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for line in own:
        ious[line.dataset, line.image][line.mask_output] = line.metrics["IoU"]
    last = own[-1].mask_output if own else ""
    ranked = sorted(((found[last], place) for place, found in ious.items() if last in found), reverse=best)
    paths = []
    for rank, (value, (key, image)) in enumerate(ranked[:count], 1):
        task = tasks[key]
        item = next(item for item in task.items if item.name == image)
        stem = os.path.splitext(image)[0] if isinstance(task, InstanceTask) else image
        paths.append(folder / f"{rank:03d}_{key}_{stem.replace('/', '_')}_{100 * value:.0f}.png")
        write_comparison(paths[-1], task.comparison(item), ious[key, image])
    return paths


def _write(result: Evaluation, rules: Sequence[PromptRule], pictures: Mapping[str, Sequence[Path]]) -> None:
    """Write the requested output files."""
    output = result.config.output
    points = rules[0].kind in ("clicks", "points")
    axes = (rules[0].kind, "mIoU") if points else ("boundary width, fraction of the diagonal", "mBIoU")
    if output.json is not None:
        write_file(output.json, json.dumps(result.to_dict(), indent=1, allow_nan=False).encode() + b"\n")
    if output.per_image is not None:
        write_csv(output.per_image, result.lines)
    if output.plot is not None:
        write_curves(output.plot, result.rows, axes)
    if output.report is not None:
        where = f"{result.compute.name} in {result.compute.dtype_name}"
        facts = {"hqsam": __version__, "prompt": result.config.prompt, "on": where}
        write_page(output.report, result.rows, result.differences, result.lines, pictures, facts, axes)


def write_csv(path: Path, lines: Sequence[ImageLine]) -> None:
    """Write a CSV line per image, prompt and mask output, with one column per metric."""
    metrics = list(dict.fromkeys(name for line in lines for name in line.metrics))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "dataset", "image", "prompt", "mask_output", *metrics, "error"])
    for line in lines:
        scores = [line.metrics.get(name, "") for name in metrics]
        writer.writerow([line.model, line.dataset, line.image, line.prompt, line.mask_output, *scores, line.error])
    write_file(path, text.getvalue().encode("utf-8", "surrogateescape"))
