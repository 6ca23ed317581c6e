"""`hqsam eval`: the paper's numbers, by the protocols that made them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from .. import __version__
from ..configs import MaskOutput, Protocol
from ..errors import UsageError
from .console import ConsoleReporter
from .eval_tables import compare_files, print_list, publish
from .options import (
    DEFAULT_MODEL,
    MODEL_VARIABLE,
    STDIN,
    DeviceOption,
    DrawnExifOption,
    DtypeOption,
    ModelsOption,
    check_hq,
)
from .plain import complete_names

if TYPE_CHECKING:
    from ..evaluation.prompts import PromptRule


DATA, PROTOCOL, RESULTS = "Data", "Protocol", "Results"

EPILOG = """
[bold]Examples[/bold]

hqsam eval --dataset dis

hqsam eval --dataset hq4 --data-root /data --model vit_l --json hq4.json

hqsam eval --dataset coco --detections focalnet.json --model vit_l

hqsam eval --dataset coift --prompt points:1,3,5,5+5,10,10+5 --plot points.png

hqsam eval --dataset ./my_photos --report ./evaluation

hqsam eval --compare before.json after.json
"""


def _dataset_names() -> list[str]:
    from ..data.sets import DATASETS

    return ["hq4", *DATASETS]


def evaluate(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Of --compare: what --json wrote.")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare evaluations that are there: two or more FILEs of --json.")
    ] = False,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|DIR",
            rich_help_panel=DATA,
            help="A set of the paper (see --list), hq4 for its four and their mean, or a folder with "
            "images/ and masks/, im/ and gt/, or images/ and annotations.json. Repeatable.",
            autocompletion=complete_names(_dataset_names),
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
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", rich_help_panel=DATA, help="Exit code 3 if any ground truth is lost, such as masks of no image."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", rich_help_panel=PROTOCOL, help="Of drawn prompts.")] = 42,
    resume: Annotated[
        bool, typer.Option("--resume", rich_help_panel=RESULTS, help="Go on with what an interrupted run has scored.")
    ] = False,
    json_file: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="FILE",
            rich_help_panel=RESULTS,
            help="All figures as JSON; - is stdout, without the table.",
        ),
    ] = None,
    per_image: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=RESULTS, help="CSV with the scores of each image.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=RESULTS,
            help="PNG, PDF or SVG: mBIoU by boundary width, or mIoU by points or clicks.",
        ),
    ] = None,
    worst: Annotated[
        tuple[int, Path] | None,
        typer.Option(metavar="K DIR", rich_help_panel=RESULTS, help="Pictures of the K worst images."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", rich_help_panel=RESULTS, help="A page of it all: DIR/index.html."),
    ] = None,
    exif: DrawnExifOption = "apply",
    model: ModelsOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the table and errors.")] = False,
) -> None:
    """Score SAM and HQ-SAM on data sets, by the protocol of the paper or as deployed.

    The table goes to stdout, messages to stderr. With several models, every model is scored on every set, and the
    differences are given with their 95 % intervals over images.
    """
    if show_list:
        print_list(data_root)
        return
    if compare or files:
        if not compare or len(files or ()) < 2 or dataset:
            raise UsageError("takes two or more files of --json, and nothing else does", option="compare")
        compare_files(files or [], seed, ConsoleReporter(quiet=quiet))
        return
    if not dataset:
        raise UsageError("say which, or pass --list to see them", option="dataset")

    from ..evaluation.prompts import prompt_rules

    models = list(dict.fromkeys(model or [os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL]))
    rules = prompt_rules(prompt)
    names = list(dict.fromkeys(dataset))
    protocols = {name: _protocol(name, protocol, rules) for name in names}
    _check(rules, list(protocols.values()), plot, refine=refine, mask_output=mask_output)

    from ..configs import EvalConfig, identity
    from ..evaluation.evaluate import Results, Settings, choose_datasets, evaluate, write_cases
    from ..evaluation.page import CASES, write_page
    from ..evaluation.pictures import write_curves
    from ..evaluation.protocols import Evaluator
    from ..evaluation.refine import cascadepsp
    from ..evaluation.report import per_image_csv
    from ..inference.device import resolve_compute
    from ..inference.predictor import Predictor, prepare_for_inference
    from ..io.atomic import check_can_write
    from ..weights.checkpoints import load_checkpoint
    from ..weights.hub import file_hash, find_checkpoint
    from ..weights.registry import infer_architecture

    for path in (None if json_file in (None, STDIN) else Path(json_file), per_image, plot):
        if path is not None:
            check_can_write(path)
    if worst is not None:
        check_can_write(worst[1] / "picture")
    if report is not None:
        check_can_write(report / "page")
    for name in models:
        for output in mask_output or ():
            check_hq(name, output)
    # Before the models, which may have to be fetched.
    pictures = "worst" if worst is not None else "plot" if plot is not None else None
    sets = {
        name: choose_datasets(name, data_root, rules, detections=detections, refine=refine, pictures=pictures)
        for name in names
    }
    keys = Counter(own.key for chosen in sets.values() for own in chosen)
    # Two folders of one name are told apart by their paths.
    sets = {name: [replace(own, key=name) if keys[own.key] > 1 else own for own in sets[name]] for name in sets}
    compute = resolve_compute(device, dtype)
    reporter = ConsoleReporter(quiet=quiet)
    results = Results()
    about: list[dict[str, Any]] = []
    cases: dict[str, list[Path]] = {}
    written = [path for path in (per_image, plot, worst[1] if worst else None) if path is not None]
    try:
        for model_name in models:
            # One after the other: what is loaded is forgotten before the next comes.
            checkpoint = find_checkpoint(model_name, None if quiet else reporter.say)
            hq_sam = load_checkpoint(checkpoint)
            architecture = infer_architecture(hq_sam.state_dict()) or ""
            outputs = _outputs(mask_output, hq_sam.has_hq, checkpoint)
            predictor = Predictor(
                prepare_for_inference(hq_sam, compute.device, compute.dtype),
                dtype=compute.dtype,
                prompts_per_batch=compute.prompts_per_batch,
            )
            where = f"{compute.device} in {compute.dtype_name}"
            reporter.say(f"{architecture} ({checkpoint.name}) on {where}")
            own = Results()
            for name in names:
                config = EvalConfig(
                    dataset=name,
                    protocol=protocols[name],
                    prompt=prompt,
                    mask_output=tuple(outputs),
                    limit=limit,
                    seed=seed,
                    curves=(plot is not None or report is not None) and rules[0].kind not in ("clicks", "points"),
                    refine=refine,
                    exif=exif,
                    device=compute.device.type,
                    dtype=compute.dtype_name,
                )
                settings = Settings(
                    config=config,
                    datasets=sets[name],
                    rules=rules,
                    identity=identity(config, model=file_hash(checkpoint), image_size=str(hq_sam.image_size)),
                    coarse=coarse_masks,
                    detections=detections,
                    refine=cascadepsp(str(compute.device)) if refine else None,
                    resume=resume,
                )
                evaluator = Evaluator(predictor, protocols[name], outputs)
                found = evaluate(settings, evaluator, architecture, reporter, model_name)
                own.extend(found)
            if worst is not None:
                number = models.index(model_name) + 1
                folder = worst[1] / f"{number}_{Path(model_name).name}" if len(models) > 1 else worst[1]
                write_cases(folder, worst[0], own)
            if report is not None and own.can_be_shown:
                for title in ("worst", "best"):
                    folder = report / title / str(len(about) + 1)
                    paths = write_cases(folder, CASES, own, best=title == "best")
                    cases[f"The {title} of {model_name}"] = paths
            own.sources.clear()  # they hold the model
            results.extend(own)
            about.append(
                {
                    "name": model_name,
                    "architecture": architecture,
                    "sha256": file_hash(checkpoint),
                    "image_size": hq_sam.image_size,
                }
            )
    except KeyboardInterrupt:
        reporter.say("interrupted: the same command with --resume goes on")
        raise
    finally:
        reporter.close()

    document = {
        "version": __version__,
        "models": about,
        "datasets": names,
        "data_root": str(data_root),
        "prompt": prompt,
        "mask_outputs": list(dict.fromkeys(row.output for row in results.rows)),
        "limit": limit,
        "seed": seed,
        "exif": exif,
        "refine": refine,
        "detections": None if detections is None else str(detections),
        "device": compute.device.type,
        "dtype": compute.dtype_name,
        "left_out": results.broken,
    }
    publish(results, document, json_file, seed, reporter)
    if per_image is not None:
        per_image_csv(per_image, results.lines)
    if plot is not None:
        axis, figure = _axes(rules)
        write_curves(plot, results.rows, axis=axis, figure_name=figure)
    if report is not None:
        facts = {"hqsam": __version__, "prompt": prompt, "on": f"{compute.device} in {compute.dtype_name}"}
        page = write_page(report, results.rows, results.lines, cases, about=facts, axes=_axes(rules), seed=seed)
        written.append(page)
    if results.broken:
        reporter.say(f"{len(results.broken)} images are in no figure", "yellow")
    results.forget_journals()
    for path in written:
        reporter.say(f"wrote {path}", "green")
    raise typer.Exit(3 if results.broken or (strict and results.lost) else 0)


def _axes(rules: list[PromptRule]) -> tuple[str, str]:
    """Of curves: what is on the axes."""
    axes = {"clicks": ("clicks", "mIoU"), "points": ("points", "mIoU")}
    return axes.get(rules[0].kind, ("width of the boundary, share of the diagonal", "mBIoU"))


def _protocol(name: str, wanted: Protocol | None, rules: list[PromptRule]) -> Protocol:
    """The paper's for its four sets, unless somebody says otherwise or clicks."""
    from ..data.sets import HQ4

    return wanted or ("paper" if name in (*HQ4, "hq4") and rules[0].kind != "clicks" else "deploy")


def _check(
    rules: list[PromptRule],
    protocols: list[Protocol],
    plot: Path | None,
    *,
    refine: bool,
    mask_output: list[str] | None,
) -> None:
    """Raise where options do not fit each other, before anything is loaded."""
    clicks = rules[0].kind == "clicks"
    unknown = [name for name in mask_output or () if name not in get_args(MaskOutput)]
    if unknown:
        raise UsageError("use sum, hq or sam", option="mask_output", value=unknown[0])
    if clicks and "paper" in protocols:
        raise UsageError("--prompt clicks: clicks are made on the photo itself", remedy="leave --protocol paper out")
    if refine and (clicks or (mask_output and "sam" not in mask_output)):
        raise UsageError(
            "refines SAM's masks", option="refine", remedy="leave --prompt clicks out, or add --mask-output sam"
        )
    if plot is not None and plot.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UsageError("name it .png, .pdf or .svg", option="plot", value=plot)


def _outputs(wanted: list[str] | None, has_hq: bool, checkpoint: Path) -> list[MaskOutput]:
    """The rows of the table, SAM first."""
    there: list[MaskOutput] = ["sam", "hq", "sum"] if has_hq else ["sam"]
    names = set(wanted or there)
    absent = names - set(there)
    if absent:
        from ..weights.registry import no_hq_message

        raise UsageError(no_hq_message(checkpoint, min(absent)))
    return [output for output in there if output in names]
