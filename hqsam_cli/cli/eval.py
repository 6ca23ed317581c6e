"""`hqsam eval`: the paper's numbers, by the protocols that produced them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from ..evaluation.config import EvalConfig, EvalOutput, Protocol
from .console import ConsoleReporter
from .declare import config_of, options_of
from .eval_tables import compare_files, print_evaluation, print_list
from .options import DEFAULT_MODEL, MODEL_VARIABLE, STDIN, DeviceOption, DrawnExifOption, DtypeOption, ModelsOption
from .plain import complete_names

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


_data, _protocol, _results = map(options_of, ("Data", "Protocol", "Results"))
DATASET = (
    "A data set of the paper (see --list), hq4 for its four and their mean, or a folder with images/ and masks/, im/ "
    "and gt/, or images/ and annotations.json. Repeatable."
)
DETECTIONS = (
    "COCO results of a detector (DAVIS: boxes by frame) instead of ground-truth boxes. Frames of ytvis have image ids "
    "1, 2, … in the order of its videos."
)
PROTOCOL = (
    "paper: the authors' evaluation of the four data sets, and the default for them. "
    "deploy: what hqsam segment does, and the default elsewhere."
)
PROMPT = "box, box-noise:0.2, points:1,3,5,5+5 (foreground+background), mask, or clicks."
PLOT = "PNG, PDF or SVG: mBIoU by boundary width, or mIoU by number of points or clicks."
_names = {"metavar": "NAME|DIR", "autocompletion": complete_names(_dataset_names)}


def evaluate(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="JSON files for --compare.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Compare two or more FILEs written by --json.")] = False,
    dataset: Annotated[list[str] | None, _data(DATASET, **_names)] = None,
    show_list: Annotated[bool, _data("List all data sets, and which are found.", "--list")] = False,
    data_root: Annotated[Path, _data("Folder of the data sets.", metavar="DIR", envvar="HQSAM_DATA")] = Path("data"),
    limit: Annotated[int | None, _data("Evaluate only the first N images.", metavar="N", min=1)] = None,
    detections: Annotated[Path | None, _data(DETECTIONS, metavar="FILE")] = None,
    coarse_masks: Annotated[
        Path | None, _data("PNG masks for --prompt mask, named as the images.", metavar="DIR")
    ] = None,
    protocol: Annotated[Protocol | None, _protocol(PROTOCOL)] = None,
    prompt: Annotated[str, _protocol(PROMPT, metavar="PROMPT")] = "box",
    mask_output: Annotated[
        list[str] | None, _protocol("Repeatable; by default all that the model has.", metavar="sum|hq|sam")
    ] = None,
    refine: Annotated[bool, _protocol("Also score SAM's masks refined by CascadePSP.", "--refine")] = False,
    strict: Annotated[bool, _data("Exit code 3 if some ground truth has no image.", "--strict")] = False,
    seed: Annotated[int, _protocol("Random seed.", metavar="N")] = 42,
    resume: Annotated[bool, _results("Resume an interrupted evaluation.", "--resume")] = False,
    json_file: Annotated[
        str | None, _results("All figures as JSON; - is stdout, without the table.", "--json", metavar="FILE")
    ] = None,
    per_image: Annotated[Path | None, _results("CSV with the scores of each image.", metavar="FILE")] = None,
    plot: Annotated[Path | None, _results(PLOT, metavar="FILE")] = None,
    worst: Annotated[
        tuple[int, Path] | None, _results("Draw the K images with the lowest IoU.", metavar="K DIR")
    ] = None,
    report: Annotated[Path | None, _results("HTML report: DIR/index.html.", metavar="DIR")] = None,
    exif: DrawnExifOption = "apply",
    model: ModelsOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the table and errors.")] = False,
) -> None:
    """Evaluate SAM and HQ-SAM on data sets, by the protocol of the paper or as deployed.

    The table goes to stdout, messages to stderr. With several models, every model is evaluated on every data set, and
    the differences are given with their 95 % confidence intervals over images.
    """
    given = locals()
    reporter = ConsoleReporter(quiet=quiet)
    if show_list:
        print_list(data_root)
        return
    if compare or files:
        if not compare or len(files or ()) < 2 or dataset:
            raise UsageError("takes two or more files of --json, and nothing else does", option="compare")
        compare_files(files or [], seed, reporter)
        return
    if not dataset:
        raise UsageError("say which, or pass --list to see them", option="dataset")

    from ..evaluation.evaluate import evaluate as run

    models = tuple(model or [os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL])
    config = config_of(EvalConfig, given, model=models, mask_output=tuple(mask_output or ()))
    json_path = None if json_file in (None, STDIN) else Path(json_file or "")
    output = EvalOutput(json=json_path, per_image=per_image, plot=plot, worst=worst, report=report)
    try:
        result = run(dataset, config, output, resume=resume, progress=reporter)
    except KeyboardInterrupt:
        reporter.say("interrupted: the same command with --resume goes on")
        raise
    finally:
        reporter.close()
    print_evaluation(result, output, reporter, as_json=json_file == STDIN)
    result.remove_logs()
    raise typer.Exit(3 if result.failed or (strict and result.problems) else 0)
