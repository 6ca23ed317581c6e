"""`hqsam eval`: evaluation of SAM and HQ-SAM by the protocols of the paper."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..configs import EvalConfig
from ..configs.run import DATA
from ..errors import UsageError
from .eval_tables import compare_files, print_evaluation, print_list
from .from_config import with_options
from .options import DEFAULT_MODEL, MODEL_VARIABLE, STDIN, ModelsOption
from .plain import complete_names
from .reporter import ConsoleReporter

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


@with_options
def evaluate(
    *,
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="JSON files for --compare.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Compare two or more FILEs written by --json.")] = False,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|DIR",
            rich_help_panel=DATA,
            help="Data set of the paper (see --list), hq4 for its four main sets and their mean, or a folder with "
            "images/ and masks/, im/ and gt/, or images/ and annotations.json. Repeatable.",
            autocompletion=complete_names(_dataset_names),
        ),
    ] = None,
    show_list: Annotated[
        bool, typer.Option("--list", rich_help_panel=DATA, help="List all data sets, and which are found.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            rich_help_panel=DATA,
            help="Exit with code 3 if the figures leave out ground truth, or results beyond their limit.",
        ),
    ] = False,
    config: EvalConfig,
    model: ModelsOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the table and errors.")] = False,
) -> None:
    """Evaluate SAM and HQ-SAM on data sets, by the protocol of the paper or of hqsam segment.

    The table goes to stdout, messages to stderr. With several models, every model is evaluated on every data set, and
    the differences are given with their 95 % confidence intervals over images.
    """
    reporter = ConsoleReporter(quiet=quiet)
    if show_list:
        print_list(config.data_root)
        return
    if files and not compare:
        raise UsageError("files are for --compare", value=files[0], remedy="pass data sets as --dataset")
    if compare:
        if len(files or ()) < 2 or dataset:
            raise UsageError("requires two or more files written by --json, and no --dataset", option="compare")
        compare_files(files or [], config.seed, reporter)
        return
    if not dataset:
        raise UsageError("required", option="dataset", remedy="see --list for the names")

    from ..evaluation.evaluate import evaluate as run

    as_json = config.output.json == Path(STDIN)
    output = replace(config.output, json=None) if as_json else config.output
    models = tuple(model or [os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL])
    try:
        result = run(dataset, replace(config, model=models, output=output), reporter)
    except KeyboardInterrupt:
        reporter.say("interrupted: run the same command with --resume to continue")
        raise
    finally:
        reporter.close()
    print_evaluation(result, reporter, as_json=as_json)
    result.remove_logs()
    raise typer.Exit(3 if result.failed or (strict and result.problems) else 0)
