"""`hqsam eval`: the paper's numbers, by the protocols that made them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from .. import __version__
from ..configs import MaskOutput, Protocol
from ..errors import UsageError
from .console import ConsoleReporter
from .options import (
    DEFAULT_MODEL,
    DeviceOption,
    DrawnExifOption,
    DtypeOption,
    ModelOption,
    check_hq,
    no_hq_message,
    resolve_compute,
)

if TYPE_CHECKING:
    from rich.console import Console

    from ..evaluation.prompts import PromptRule


DATA, PROTOCOL, RESULTS = "Data", "Protocol", "Results"

EPILOG = """
[bold]Examples[/bold]

hqsam eval --dataset dis

hqsam eval --dataset hq4 --data-root /data --model vit_l --json hq4.json

hqsam eval --dataset coco --detections focalnet.json --model vit_l

hqsam eval --dataset coift --prompt points:1,3,5,5+5,10,10+5 --plot points.png

hqsam eval --dataset ./my_photos --worst 20 ./worst
"""


def evaluate(
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            rich_help_panel=DATA,
            help="A set of the paper (see --list), hq4 for its four and their mean, or a folder with "
            "images/ and masks/, im/ and gt/, or images/ and annotations.json.",
        ),
    ] = None,
    show_list: Annotated[
        bool, typer.Option("--list", rich_help_panel=DATA, help="All data sets, and which are found.")
    ] = False,
    data_root: Annotated[
        Path, typer.Option(metavar="DIR", envvar="HQSAM_DATA", rich_help_panel=DATA, help="Where data sets are.")
    ] = Path("data"),
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, rich_help_panel=DATA, help="Only the first N images.")
    ] = None,
    detections: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=DATA,
            help="A detector's COCO results (DAVIS: boxes by frame) instead of ground-truth boxes. "
            "Frames of ytvis have image ids 1, 2, … in the order of its videos.",
        ),
    ] = None,
    coarse_masks: Annotated[
        Path | None,
        typer.Option(metavar="DIR", rich_help_panel=DATA, help="PNGs for --prompt mask, by the stem of the image."),
    ] = None,
    protocol: Annotated[
        Protocol | None,
        typer.Option(
            rich_help_panel=PROTOCOL,
            help="paper: the authors' evaluation of the four sets, and the default for them. "
            "deploy: what hqsam segment does, and the default elsewhere.",
        ),
    ] = None,
    prompt: Annotated[
        str,
        typer.Option(
            metavar="PROMPT",
            rich_help_panel=PROTOCOL,
            help="box, box-noise:0.2, points:1,3,5,5+5 (inside+outside), mask, or clicks.",
        ),
    ] = "box",
    mask_output: Annotated[
        list[str] | None,
        typer.Option(
            metavar="sum|hq|sam",
            rich_help_panel=PROTOCOL,
            help="Repeatable; all that the model has unless given.",
        ),
    ] = None,
    refine: Annotated[
        bool, typer.Option("--refine", rich_help_panel=PROTOCOL, help="One more row: SAM's masks through CascadePSP.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", rich_help_panel=PROTOCOL, help="Of drawn prompts.")] = 42,
    resume: Annotated[
        bool, typer.Option("--resume", rich_help_panel=RESULTS, help="Go on with what an interrupted run has scored.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", rich_help_panel=RESULTS, help="All figures as JSON.")
    ] = None,
    per_image: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=RESULTS, help="CSV with the scores of each image.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel=RESULTS, help="PNG, PDF or SVG: mBIoU by boundary width, or mIoU by clicks."
        ),
    ] = None,
    worst: Annotated[
        tuple[int, Path] | None,
        typer.Option(metavar="K DIR", rich_help_panel=RESULTS, help="Pictures of the K worst images."),
    ] = None,
    exif: DrawnExifOption = "apply",
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the table and errors.")] = False,
) -> None:
    """Score SAM and HQ-SAM on a data set, by the protocol of the paper or as deployed.

    The table goes to the terminal, or to stderr where stdout is not one; --json FILE keeps the figures.
    """
    if show_list:
        _print_list(data_root)
        return
    if dataset is None:
        raise UsageError("--dataset: say which, or pass --list to see them")

    from ..data.sets import HQ4
    from ..evaluation.prompts import prompt_rules

    rules = prompt_rules(prompt)
    clicks = rules[0].kind == "clicks"
    chosen: Protocol = protocol or ("paper" if dataset in (*HQ4, "hq4") and not clicks else "deploy")
    _check(rules, chosen, plot, refine=refine, mask_output=mask_output)

    from ..configs import EvalConfig, identity
    from ..evaluation.evaluate import Settings, choose_datasets, evaluate, write_worst
    from ..evaluation.pictures import write_curves
    from ..evaluation.protocols import Evaluator
    from ..evaluation.refine import cascadepsp
    from ..evaluation.report import results_table, write_json, write_per_image
    from ..io.atomic import check_can_write
    from ..predictor import Predictor
    from ..weights.checkpoints import file_hash, find_checkpoint, infer_architecture, load_checkpoint

    for path in (json_file, per_image, plot):
        if path is not None:
            check_can_write(path)
    if worst is not None:
        check_can_write(worst[1] / "picture")
    for output in mask_output or ():
        check_hq(model, output)
    # Before the model, which may have to be fetched.
    pictures = "--worst" if worst is not None else "--plot" if plot is not None else None
    datasets = choose_datasets(dataset, data_root, rules, detections=detections, refine=refine, pictures=pictures)
    compute = resolve_compute(device, dtype)
    reporter = ConsoleReporter(quiet=quiet)
    checkpoint = find_checkpoint(model, None if quiet else reporter.say)
    hq_sam = load_checkpoint(checkpoint)
    architecture = infer_architecture(hq_sam.state_dict()) or ""
    outputs = _outputs(mask_output, hq_sam.has_hq, checkpoint)
    config = EvalConfig(
        dataset=dataset,
        protocol=chosen,
        prompt=prompt,
        mask_output=tuple(outputs),
        limit=limit,
        seed=seed,
        curves=plot is not None and not clicks,
        refine=refine,
        exif=exif,
        device=compute.device.type,
        dtype=compute.dtype_name,
    )
    settings = Settings(
        config=config,
        datasets=datasets,
        rules=rules,
        identity=identity(config, model=file_hash(checkpoint), image_size=str(hq_sam.image_size)),
        coarse=coarse_masks,
        detections=detections,
        refine=cascadepsp(str(compute.device)) if refine else None,
        resume=resume,
    )
    predictor = Predictor(hq_sam.to(compute.device), dtype=compute.dtype, prompts_per_batch=compute.prompts_at_once)
    evaluator = Evaluator(predictor, chosen, outputs)
    where = f"{compute.device} in {compute.dtype_name}"
    reporter.say(f"{architecture} ({checkpoint.name}) on {where}, protocol {chosen}")
    try:
        results = evaluate(settings, evaluator, architecture, reporter)
    except KeyboardInterrupt:
        reporter.say("interrupted: the same command with --resume goes on")
        raise
    finally:
        reporter.close()

    title = f"{architecture}, protocol {chosen}, prompt {prompt}; gains over SAM in brackets"
    _table_console().print(results_table(title, results.rows))
    if results.broken:
        reporter.say(f"{len(results.broken)} images are in no figure", "yellow")
    if json_file is not None:
        about = {
            **asdict(config),
            "version": __version__,
            "data_root": str(data_root),
            "detections": None if detections is None else str(detections),
            "architecture": architecture,
            "model_sha256": file_hash(checkpoint),
            "image_size": hq_sam.image_size,
            "left_out": results.broken,
        }
        write_json(json_file, about, results.rows)
    if per_image is not None:
        write_per_image(per_image, results.lines)
    if plot is not None:
        write_curves(plot, results.rows, clicks=clicks)
    if worst is not None:
        write_worst(worst[1], worst[0], results)
    results.forget_journals()
    for path in (json_file, per_image, plot, worst[1] if worst else None):
        if path is not None:
            reporter.say(f"wrote {path}", "green")
    raise typer.Exit(3 if results.broken else 0)


def _table_console() -> Console:
    """The terminal, be it behind stdout or not; wide where nobody looks, so that nothing is cut off."""
    from rich.console import Console

    return Console(file=sys.stdout if sys.stdout.isatty() else sys.stderr, width=None if sys.stderr.isatty() else 160)


def _check(
    rules: list[PromptRule],
    protocol: Protocol,
    plot: Path | None,
    *,
    refine: bool,
    mask_output: list[str] | None,
) -> None:
    """Raise where options do not fit each other, before anything is loaded."""
    clicks = rules[0].kind == "clicks"
    unknown = [name for name in mask_output or () if name not in get_args(MaskOutput)]
    if unknown:
        raise UsageError(f"--mask-output {unknown[0]}: use sum, hq or sam")
    if clicks and protocol == "paper":
        raise UsageError("--prompt clicks: clicks are made on the photo itself; leave --protocol paper out")
    if refine and (clicks or (mask_output and "sam" not in mask_output)):
        raise UsageError("--refine: refines SAM's masks; leave --prompt clicks out, or add --mask-output sam")
    if plot is not None and plot.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UsageError(f"--plot {plot}: name it .png, .pdf or .svg")


def _outputs(wanted: list[str] | None, has_hq: bool, checkpoint: Path) -> list[MaskOutput]:
    """The rows of the table, SAM first."""
    there: list[MaskOutput] = ["sam", "hq", "sum"] if has_hq else ["sam"]
    names = set(wanted or there)
    absent = names - set(there)
    if absent:
        raise UsageError(no_hq_message(checkpoint, min(absent)))
    return [output for output in there if output in names]


def _print_list(root: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from ..data.sets import DATASETS, dataset_is_found

    table = Table(title=f"data sets under {root}", title_justify="left")
    for column in ("name", "data set", "images", "found", "photos and gt", "archive", "from"):
        table.add_column(column, justify="right" if column == "images" else "left", overflow="fold")
    for dataset in DATASETS.values():
        found = "yes" if dataset_is_found(dataset, root) else "no"
        archive = f"{dataset.archive}, {dataset.size}"
        places = f"{dataset.images}\n{dataset.gt}"
        table.add_row(dataset.key, dataset.title, str(dataset.count or "–"), found, places, archive, dataset.source)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    typer.echo("hq4 is dis, coift, hrsod and thinobject, and their mean.", err=True)
