"""`hqsam segment`: folders of photos and prompts to masks."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..configs import (
    DEFAULT_MAX_PIXELS,
    MAX_DET,
    DetectorConfig,
    EverythingConfig,
    SegmentConfig,
    identity,
)
from ..detection.files import EMBEDDED
from ..errors import HqsamError
from .console import ConsoleReporter
from .detector_options import (
    ClassesOption,
    ConfOption,
    DetectorOption,
    HalfOption,
    ImgszOption,
    IouOption,
    MaxDetOption,
    TrustOption,
    check_unused,
    found_identity,
    load_detector,
)
from .engine_options import (
    ActorsOption,
    AddressOption,
    DevicesOption,
    EngineOption,
    check_engine,
    make_engine,
    resolve_places,
)
from .everything_options import (
    DEFAULTS,
    BoxNmsOption,
    CropLayersOption,
    CropNmsOption,
    CropOverlapOption,
    DownscaleOption,
    EverythingOption,
    OffsetOption,
    PointsPerSideOption,
    PredIouOption,
    RegionAreaOption,
    StabilityOption,
    check_no_everything,
)
from .mask_options import (
    BackgroundOption,
    FillHolesOption,
    FormatsOption,
    LargestPartOption,
    MinRegionOption,
    OverlayOption,
    SegmentationOption,
    SmoothOption,
    SoftOption,
    ThumbnailOption,
    ToleranceOption,
    check_compare,
    check_places,
    chosen_formats,
    clean_config,
    cutout_config,
    mask_writers,
    polygon_config,
)
from .options import (
    DEFAULT_MODEL,
    RESULTS,
    SPEED,
    STDIN,
    DeviceOption,
    DryRunOption,
    DtypeOption,
    ExifOption,
    InputsArgument,
    MaskOutputOption,
    MaxPixelsOption,
    ModelOption,
    NullOption,
    OverwriteEditedOption,
    OverwriteOption,
    PruneOption,
    QuietOption,
    VerboseOption,
    WorkersOption,
    as_place,
    check_hq,
    find_model,
    input_images,
    made_by,
    print_plan,
    results_stream,
)
from .prompt_options import (
    BoxesOption,
    BoxFormatOption,
    CoarseMasksOption,
    FrameOption,
    ImagesJsonOption,
    MaxBoxesOption,
    PointsOption,
    ScoreThresholdOption,
    StrictOption,
    bind_and_tell,
    check_everything,
    check_listed,
    check_prompt_options,
    describe_prompts,
    objects_config,
)
from .run_options import (
    FailFastOption,
    JournalOption,
    MaxErrorsOption,
    RetryFailedOption,
    ShardOption,
    check_output,
    errors_allowed,
    journal_place,
    run_and_tell,
)

EPILOG = """
[bold]Examples[/bold]

hqsam segment ./imgs

hqsam segment ./imgs --detector yolo11n.pt --classes person,dog

hqsam segment ./imgs --boxes dets.json --model vit_l --format coco --output masks

hqsam segment ./imgs --everything --points-per-side 16

find . -name '*.jpg' -print0 | hqsam segment -0 - --boxes dets.json

hqsam detect ./imgs --output - | hqsam segment ./imgs --boxes - --output - | jq -r '.annotations[].score'
"""


def segment(
    inputs: InputsArgument,
    boxes: BoxesOption = None,
    box_format: BoxFormatOption = None,
    images_json: ImagesJsonOption = None,
    points: PointsOption = None,
    coarse_masks: CoarseMasksOption = None,
    frame: FrameOption = False,
    score_threshold: ScoreThresholdOption = None,
    max_boxes: MaxBoxesOption = None,
    strict: StrictOption = False,
    everything: EverythingOption = False,
    points_per_side: PointsPerSideOption = DEFAULTS.points_per_side,
    pred_iou_thresh: PredIouOption = DEFAULTS.pred_iou_thresh,
    stability_score_thresh: StabilityOption = DEFAULTS.stability_score_thresh,
    stability_score_offset: OffsetOption = DEFAULTS.stability_score_offset,
    box_nms_thresh: BoxNmsOption = DEFAULTS.box_nms_thresh,
    crop_n_layers: CropLayersOption = DEFAULTS.crop_n_layers,
    crop_nms_thresh: CropNmsOption = DEFAULTS.crop_nms_thresh,
    crop_overlap_ratio: CropOverlapOption = DEFAULTS.crop_overlap_ratio,
    crop_n_points_downscale_factor: DownscaleOption = DEFAULTS.crop_n_points_downscale_factor,
    min_mask_region_area: RegionAreaOption = DEFAULTS.min_mask_region_area,
    detector: DetectorOption = None,
    conf: ConfOption = None,
    iou: IouOption = None,
    classes: ClassesOption = None,
    max_det: MaxDetOption = MAX_DET,
    imgsz: ImgszOption = None,
    half: HalfOption = False,
    trust_detector: TrustOption = False,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            rich_help_panel=RESULTS,
            help="Folder, or its address (s3://…), or - for NDJSON on stdout.",
        ),
    ] = "hqsam_out",
    formats: FormatsOption = None,
    segmentation: SegmentationOption = "rle",
    tolerance: ToleranceOption = None,
    min_region: MinRegionOption = None,
    fill_holes: FillHolesOption = None,
    largest_part: LargestPartOption = False,
    smooth: SmoothOption = False,
    soft: SoftOption = False,
    background: BackgroundOption = None,
    overwrite: OverwriteOption = False,
    overwrite_edited: OverwriteEditedOption = False,
    prune: PruneOption = False,
    multimask: Annotated[
        bool,
        typer.Option("--multimask", rich_help_panel=RESULTS, help="Three masks a prompt, each with its IoU."),
    ] = False,
    overlay: OverlayOption = False,
    thumbnail: ThumbnailOption = False,
    compare_sam: Annotated[
        bool,
        typer.Option("--compare-sam", rich_help_panel=RESULTS, help="Keep plain SAM's mask of each prompt beside."),
    ] = False,
    model: ModelOption = DEFAULT_MODEL,
    mask_output: MaskOutputOption = "sum",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, rich_help_panel=SPEED, help="Images encoded at once: 4; on a CPU always one."),
    ] = None,
    prompts_per_batch: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, rich_help_panel=SPEED, help="Prompts decoded at once: 32, or 8 on a CPU."),
    ] = None,
    workers: WorkersOption = 4,
    exif: ExifOption = "apply",
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    null: NullOption = False,
    shard: ShardOption = None,
    retry_failed: RetryFailedOption = False,
    max_errors: MaxErrorsOption = None,
    fail_fast: FailFastOption = False,
    journal: JournalOption = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    actors: ActorsOption = None,
    devices: DevicesOption = None,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Turn images into instance masks, by boxes, points or coarse masks, or of whatever a detector finds.

    Results go to ./hqsam_out: instances.json (COCO) and masks/<path of the image>/<annotation id>.png.
    The same command again continues where it stopped.
    """
    check_engine(engine, address, actors, devices, device)
    reporter = ConsoleReporter(quiet=quiet, verbose=verbose)
    formats_wanted = chosen_formats(output, formats, overlay=overlay, thumbnail=thumbnail)
    polygons = polygon_config(formats_wanted, segmentation, tolerance)
    cleaning = clean_config(min_region, fill_holes, largest_part, smooth)
    cutting = cutout_config(formats_wanted, soft, background, everything)
    files = [path for path in (boxes, points, coarse_masks) if path is not None]
    check_listed(images_json, files)
    grid = EverythingConfig(
        points_per_side=points_per_side,
        pred_iou_thresh=pred_iou_thresh,
        stability_score_thresh=stability_score_thresh,
        stability_score_offset=stability_score_offset,
        box_nms_thresh=box_nms_thresh,
        crop_n_layers=crop_n_layers,
        crop_nms_thresh=crop_nms_thresh,
        crop_overlap_ratio=crop_overlap_ratio,
        crop_n_points_downscale_factor=crop_n_points_downscale_factor,
        min_mask_region_area=min_mask_region_area,
    )
    if everything:
        check_everything(files, frame, detector, multimask)
    else:
        check_no_everything(grid)
        check_prompt_options(inputs, files, images_json, frame, detector)
    check_hq(model, mask_output)
    check_compare(compare_sam, everything, mask_output)
    listed = input_images(inputs, null, output, reporter)
    sources = listed.images
    check_places(formats_wanted, output, any(image.stored is not None for image in sources))

    from ..prompts.select import Selection
    from ..prompts.table import PromptTable, check_speaks, read_prompts

    given = read_prompts(
        boxes=boxes,
        images_json=images_json,
        points=points,
        coarse_masks=coarse_masks,
        frame=frame,
        beside=None if everything or detector else listed.beside,
        box_format=box_format,
        stdin=sys.stdin.buffer,
    )
    bare = not given.files and not given.masks and not frame and not everything and detector is None
    objects = objects_config(multimask, reporter) if bare else None
    detector = EMBEDDED if bare else detector
    settings = DetectorConfig(conf=conf, iou=iou, classes=tuple(classes or ()), max_det=max_det, imgsz=imgsz, half=half)
    if detector is None:
        check_unused(settings)
    selection = Selection(score_threshold, max_boxes)
    table = PromptTable()
    if detector is None and not everything:
        table = bind_and_tell(given, sources, selection, reporter, exif=exif, box_format=box_format)
    lost = bool(listed.broken or table.outside or (strict and table.notes.lost))

    from ..batch.fingerprint import stamped
    from ..batch.job import Job
    from ..batch.object_journal import has_journal
    from ..batch.plan import plan_of
    from ..batch.shard import Shard, inputs_digest
    from ..batch.steps import Finish
    from ..prompts.categories import DEFAULT_CATEGORY
    from ..segment_plan import SegmentPlan

    inputs_name = inputs_digest(sources)
    part = None if shard is None else Shard.parse(shard)
    sources = sources if part is None else part.images(sources)
    compute, places = resolve_places(device, devices, dtype)
    prompts_per_batch = prompts_per_batch or compute.prompts_at_once
    checkpoint, model_sha256 = find_model(model, reporter, may_fetch=not dry_run)
    where = None if output == STDIN else as_place(output)
    found_by = finder = None
    if detector is not None:
        found_by, finder = load_detector(
            detector, settings, compute.device, reporter, trusted=trust_detector, may_fetch=not dry_run
        )
    config = SegmentConfig(
        mask_output=mask_output,
        multimask=multimask,
        compare_sam=compare_sam,
        score_threshold=score_threshold if finder or everything else None,
        max_boxes=max_boxes if finder or everything else None,
        format=tuple(sorted(formats_wanted)),
        device=compute.device.type,
        dtype=compute.dtype_name,
        prompts_per_batch=prompts_per_batch,
        exif=exif,
        max_pixels=max_pixels,
        shard=None if part is None else str(part),
    )
    job = Job(
        images=sources if where is None else stamped(sources),
        inputs=inputs_name,
        prompts=table,
        output=where,
        formats=formats_wanted,
        exif=exif,
        max_pixels=max_pixels,
        batch_size=batch_size or compute.images_at_once,
        categories=finder.categories if finder else [DEFAULT_CATEGORY] if everything else table.categories,
        identity=identity(
            config,
            None if finder is None else finder.config,
            grid if everything else None,
            cleaning,
            cutting,
            polygons,
            model=model_sha256[:16],
            detector="none" if finder is None else found_identity(finder, objects),
        ),
        info={
            "model": model,
            "model_sha256": model_sha256,
            "mask_output": mask_output,
            "detector": detector,
            **made_by(),
        },
        segmentation=segmentation,
        overwrite=overwrite,
        overwrite_edited=overwrite_edited,
        prune=prune,
        retry_failed=retry_failed,
        max_errors=errors_allowed(max_errors, fail_fast, len(sources)),
        journal=None if where is None else journal_place(where, journal),
        stream=results_stream() if where is None else None,
        writers=mask_writers(background),
    )
    # Before the model is loaded, so that what is refused is refused at once.
    todo = plan_of(job)
    if todo.unmentioned or (overwrite and job.journal is not None and has_journal(job.journal)):
        check_speaks(given)
    if dry_run:
        print_plan(
            job, todo, prompts=describe_prompts(job, detector, points_per_side if everything else None), model=model
        )
    todo.check_removal(prune=prune)
    if dry_run:
        raise typer.Exit(3 if lost else 0)
    if job.journal is not None:
        check_output(job.journal)
    hint = "; --model vit_l gives the paper's quality" if model == DEFAULT_MODEL else ""
    reporter.say(f"model {model} on {compute.device} in {compute.dtype_name}{hint}")
    assert checkpoint is not None
    plan = SegmentPlan(
        checkpoint=checkpoint,
        device=compute.device,
        dtype=compute.dtype,
        prompts_per_batch=prompts_per_batch,
        mask_output=mask_output,
        multimask=multimask,
        compare_sam=compare_sam,
        soft=soft,
        categories=job.categories,
        detector=found_by,
        objects=objects,
        everything=grid if everything else None,
        selection=selection,
        finish=Finish(cleaning, polygons.tolerance if polygons else None),
    )
    run_on = make_engine(plan, job, finder, workers, devices=places, engine=engine, address=address, actors=actors)
    summary = run_and_tell(job, run_on, reporter)
    if files and summary.lost and not (summary.masks or summary.already_done or summary.failed or summary.interrupted):
        raise HqsamError(f"of the prompts not one lies in its image: {summary.lost} are lost", remedy="see above")
    raise typer.Exit(summary.exit_code or (3 if lost or (strict and summary.lost) else 0))
