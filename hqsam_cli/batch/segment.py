"""Segmentation of folders of images, for `hqsam segment` and the Python API."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..configs import DEFAULT_MODEL, STDIN, MaskOutput, SegmentConfig, digest, identity
from ..configs.option import is_default
from ..configs.run_identity import DETECTOR, NO_DETECTOR, SALIENT, made_by
from ..detection.files import EMBEDDED, has_embedded
from ..errors import UsageError
from ..formats import WRITERS
from ..formats.cutouts import CropWriter, CutoutWriter
from ..formats.image_writer import ImageResult
from ..formats.outputs import MakeWriter
from ..formats.picture_writer import OverlayWriter, ThumbnailWriter
from ..inference.device import resolve_compute, resolve_devices
from ..inference.exported import ExportedModel, resolve_exported
from ..io.addresses import path_or_address
from ..progress import SILENT, Progress
from ..prompts.categories import DEFAULT_CATEGORY, renumber_categories
from ..prompts.fit import check_speaks
from ..prompts.read import read_prompts
from ..prompts.table import PromptTable, Selection
from ..weights.exported import find_exported
from ..weights.hub import file_hash, find_checkpoint, official_sha256
from ..weights.registry import OBJECTNESS, SALIENCY
from .build import Models, boxes_config, make_engine
from .check_config import (
    check_exported,
    check_no_detector,
    check_no_files,
    check_places,
    check_segment,
    errors_allowed,
    rgb_of,
)
from .detectors import load_detector, read_examples, with_yoloe
from .fingerprint import stamped
from .inputs import Inputs, Shard, bind, input_images, input_paths, inputs_digest, named_as_before
from .job import Job, Summary, make_plan
from .object_journal import has_journal, journal_contents, journal_place
from .pipeline import PreparedRun

if TYPE_CHECKING:
    from ..detection.detector import Detector


def segment_images(
    inputs: Inputs,
    output: str | PathLike[str],
    config: SegmentConfig | None = None,
    progress: Progress = SILENT,
) -> Summary:
    """Segment images, and write masks; the same call resumes an interrupted run.

    Args:
        inputs: images, folders, globs or tar files, or their URLs.
        output: output folder, or its URL.
        config: all options; by default objects are found by point grids and the built-in detector.
        progress: receives progress and messages.

    Returns:
        The summary of the run. Failed images do not stop it.

    Raises:
        UsageError: invalid options, or an output with results of another run.
        NoInputError: no image is found.
        HqsamError: prompts or models cannot be read, or results cannot be written.
    """
    run = prepare_segment(input_paths(inputs), fspath(output), config or SegmentConfig(), progress)
    return run.run(progress)


def prepare_segment(
    inputs: Sequence[str],
    output: str,
    config: SegmentConfig,
    progress: Progress,
    *,
    stdin: BinaryIO | None = None,
    null_separated: bool = False,
    may_fetch: bool = True,
    on_result: Callable[[ImageResult], None] | None = None,
) -> PreparedRun:
    """Find the images, read the prompts and resolve the models of a run; nothing is loaded or written yet.

    Args:
        output: as in `segment_images`, or `-` for NDJSON on stdout.
        stdin: stream for `-` among the inputs and prompt files.
        null_separated: paths on stdin are NUL-separated.
        may_fetch: download missing weights.
        on_result: callback with the masks of each image in memory, from several threads; requires `output` `-`, and
            disables printing.
    """
    writers = mask_writers()
    config = replace(config, detection=with_yoloe(config.detection))
    config = check_segment(config, inputs, output, writers)
    shard = None if config.shard is None else Shard.parse(config.shard)
    exported = find_exported(config.model)
    device = str(resolve_devices(config.devices)[0]) if config.devices is not None else config.device
    compute = (
        resolve_compute(device, config.dtype) if exported is None else resolve_exported(exported, device, config.dtype)
    )
    examples = read_examples(config.detection, config, progress)
    found = input_images(inputs, output, progress, stdin=stdin, null_separated=null_separated)
    place = None if output == STDIN else path_or_address(output)
    journal = None if place is None else journal_place(place, config.journal)
    before = None if journal is None or config.overwrite else journal_contents(journal)
    if before is not None and shard is None:  # the shard of an image depends on its name
        found = named_as_before(found, before)
    are_remote = any(image.location is not None for image in found.images)
    check_places(config.formats, output, are_remote)
    prompts = config.prompts
    beside = None if config.everything or config.detection.detector else found.beside
    if (prompts.box or prompts.point) and len(found.images) > 1:
        raise UsageError(
            f"applies to one image, and there are {len(found.images)}",
            option="box" if prompts.box else "point",
            remedy="pass one image, or a file of prompts: --boxes or --points",
        )
    given = read_prompts(prompts, beside=beside, stdin=stdin)
    has_prompts = bool(given.files or given.masks or given.typed or prompts.salient or config.everything)
    is_bare = not has_prompts and config.detection.detector is None
    finds_objects = is_bare and not config.multimask  # else only by the detector
    if exported is not None:
        check_exported(exported, config, is_bare=is_bare)
        config = replace(config, windows="off")
    if is_bare:
        check_no_files(prompts)
        config = _with_embedded(config, progress)
    table, known = PromptTable(), () if before is None else before.known_categories(redo=config.redo)
    if config.detection.detector is None and not config.everything and not prompts.salient:
        check_no_detector(config.detection)  # of prompts in tars, which are known only now
        selection = Selection(config.detection.score_threshold, config.detection.max_det)
        table = bind(given, found.images, selection, config.exif, progress, known)
    config = replace(
        config,
        device=compute.type,
        dtype=compute.dtype_name,
        prompts_per_batch=config.prompts_per_batch or compute.prompts_per_batch,
    )
    detector, detector_path = None, None
    if config.detection.detector is not None:
        detection = boxes_config(config.detection, finds_objects=finds_objects)
        detector_path, detector = load_detector(detection, examples, compute.device, progress, may_fetch=may_fetch)
    checkpoint, model_sha256 = _find_model(config.model, progress, may_fetch=may_fetch)
    config = replace(config, mask_output=config.mask_output or _default_mask_output(checkpoint, exported))
    images = found.images if shard is None else shard.images(found.images)
    job = Job(
        images=stamped(images) if are_remote and place is not None else images,
        inputs=inputs_digest(found.images),
        prompts=table,
        config=config,
        output=place,
        formats=config.formats,
        batch_size=config.batch_size or compute.batch_size,
        categories=table.categories
        or renumber_categories(detector.categories if detector else [DEFAULT_CATEGORY], known),
        identity=_identity(config, detector, model_sha256, finds_objects=finds_objects),
        info={
            "model": config.model,
            "model_sha256": model_sha256,
            "mask_output": config.mask_output,
            "detector": config.detection.detector,
            **made_by(),
        },
        segmentation=config.polygons.segmentation,
        max_errors=errors_allowed(config.max_errors, len(found.images)),
        journal=journal,
        stream=sys.stdout.buffer if place is None and on_result is None else None,
        on_result=on_result,
        writers=mask_writers(config.cutout.background),
    )

    outputs = job.outputs()
    plan = make_plan(job, outputs, before)
    if plan.has_results or (config.overwrite and job.journal is not None and has_journal(job.journal)):
        check_speaks(given)

    def engine() -> Any:
        assert checkpoint is not None
        hint = "; `model` vit_l gives the paper's quality" if config.model == DEFAULT_MODEL else ""
        progress.say(f"model {config.model} on {compute.name} in {compute.dtype_name}{hint}")
        models = Models(checkpoint, compute, detector_path, examples, finds_objects, exported)
        return make_engine(config, models, job, outputs, detector, progress)

    return PreparedRun(
        job=job,
        outputs=outputs,
        engine=engine,
        plan=plan,
        lost=bool(found.broken or table.outside or (prompts.strict and table.notes.lost)),
        describe=partial(_describe, job, config, finds_objects=finds_objects),
        strict=prompts.strict,
        has_files=bool(given.files or given.masks),
    )


def mask_writers(background: str | None = None) -> dict[str, MakeWriter]:
    """Return the writers of all mask formats.

    Args:
        background: color around objects in cut-outs and crops.
    """
    color = None if background is None else rgb_of(background)
    cut: dict[str, MakeWriter] = {
        "cutout": partial(CutoutWriter, background=color),
        "crop": partial(CropWriter, background=color),
    }
    return {**WRITERS, **cut, "overlay": OverlayWriter, "thumbnail": ThumbnailWriter}


def _with_embedded(config: SegmentConfig, progress: Progress) -> SegmentConfig:
    """Config of a run without prompts, which uses point grids and the built-in detector."""
    if not has_embedded():
        raise UsageError(
            "no prompts",
            remedy="pass --detector NAME, --boxes PATH, --points FILE or --coarse-masks PATH, "
            "or --salient for the most salient object",
        )
    side = config.objects.grid_points[-1]
    points = "" if config.multimask else f"up to {side} x {side} points and "
    progress.say(
        f"no prompts: segmenting objects found by {points}the detector {EMBEDDED} of this package; "
        "use --everything for all masks, or --detector yolo11n.pt for classes"
    )
    threshold = config.detection.score_threshold
    objects = config.objects if threshold is None else replace(config.objects, min_score=threshold)
    return replace(config, detection=replace(config.detection, detector=EMBEDDED), objects=objects)


def _default_mask_output(checkpoint: Path | None, exported: ExportedModel | None) -> MaskOutput:
    """Default mask output of a checkpoint or an exported model; `sum` for one that is not downloaded yet."""
    if exported is not None:
        return exported.mask_output
    from ..weights.checkpoints import default_mask_output

    return default_mask_output(checkpoint) if checkpoint else "sum"


def _find_model(model: str, progress: Progress, *, may_fetch: bool) -> tuple[Path | None, str]:
    """Checkpoint and SHA-256 of a model; the path is None if it may not be downloaded."""
    known = None if may_fetch else official_sha256(model)
    if known is not None:
        return None, known
    checkpoint = find_checkpoint(model, progress.say)
    return checkpoint, file_hash(checkpoint)


def _identity(
    config: SegmentConfig, detector: Detector | None, model_sha256: str, *, finds_objects: bool
) -> dict[str, str]:
    """Run identity; see `configs.run_identity`."""
    parts: list[Any] = [config, *(part for part in (config.cleaning, config.cutout) if not is_default(part))]
    if detector is not None:
        parts.append(detector.config)
    elif config.everything:
        parts.append(config.generator)
    if config.polygons.tolerance is not None:
        parts.append(config.polygons)
    found_by = {DETECTOR: NO_DETECTOR} if detector is None else detector.identity
    if finds_objects:
        found_by = {DETECTOR: f"{found_by[DETECTOR]}+{digest(asdict(config.objects), file_hash(OBJECTNESS))}"}
    if config.prompts.salient:
        found_by = {DETECTOR: f"{SALIENT}+{file_hash(SALIENCY)[:16]}"}
    own = identity(*parts, model=model_sha256[:16], **found_by)
    if config.everything or config.prompts.salient or finds_objects:  # those of the masks, not of the detector
        threshold = config.objects.min_score if finds_objects else config.detection.score_threshold
        chosen = {"score_threshold": threshold, "max_det": config.detection.max_det}
        own = {name: value for name, value in own.items() if name not in chosen}
        own |= {name: str(value) for name, value in chosen.items() if value is not None}
    return {**own, "format": ",".join(sorted(config.formats))}


def _describe(job: Job, config: SegmentConfig, *, finds_objects: bool) -> str:
    """Describe the prompts of a job."""
    if finds_objects and not config.multimask:
        return f"a point grid, and boxes of the detector {config.detection.detector}"
    if config.detection.detector is not None:
        return f"boxes of the detector {config.detection.detector}"
    if config.prompts.salient:
        return "the most salient object of each image"
    if config.everything:
        return f"{config.generator.points_per_side} x {config.generator.points_per_side} points per image"
    counts = [len(job.prompts.for_image(image.file_name).prompts) for image in job.images]
    return f"{sum(counts)}, in {sum(map(bool, counts))} images"
