"""`hqsam status` and `hqsam merge`: progress of a run, and merging of its shards."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from ..io.addresses import path_or_address
from .console import print_json, print_table
from .options import OverwriteEditedOption, OverwriteOption, PruneOption, QuietOption
from .reporter import ConsoleReporter

STATUS_EPILOG = """
[bold]Examples[/bold]

hqsam status hqsam_out

watch -n 60 hqsam status hqsam_out

hqsam status hqsam_out --json | jq -r '.reasons[] | [.images, .reason] | @tsv'
"""
MERGE_EPILOG = """
[bold]Examples[/bold]

hqsam merge all out/1 out/2 out/3 out/4

seq 4 | xargs -P 4 -I{} hqsam segment ./imgs --boxes dets.json --shard {}/4 -o out/{} && hqsam merge all out/*
"""


def status(
    output: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="Output of hqsam segment or detect, or a journal file.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the progress of a run: images done, failed (with reasons) and left, rate and time left.

    Reads only the journal, so it works during the run and after it.
    """
    from ..batch.status import read_status

    found = read_status(output)
    if as_json:
        print_json(asdict(found))
        return
    rows = [
        ("state", found.state),
        ("images", str(found.images)),
        ("done", str(found.done)),
        ("failed", str(found.failed)),
        ("left", str(found.left)),
        ("results", str(found.results)),
    ]
    if found.rate is not None:
        rows.append(("rate", f"{found.rate:.2f} images/s"))
    if found.seconds_left is not None:
        rows.append(("time left", str(timedelta(seconds=round(found.seconds_left)))))
    if found.command is not None:
        rows.append(("command", found.command))
    print_table((), rows)
    if found.reasons:
        print()
        reasons = [(str(r.images), r.reason, r.remedy, r.first) for r in found.reasons]
        print_table(("failed", "reason", "remedy", "first"), reasons)


def merge(
    output: Annotated[str, typer.Argument(metavar="OUT", help="Output folder of the merged run, or its URL (s3://…).")],
    shards: Annotated[
        list[str],
        typer.Argument(
            metavar="SHARD...", help="Outputs of hqsam segment --shard I/N, all N of them; folders or URLs."
        ),
    ],
    overwrite: OverwriteOption = False,
    overwrite_edited: OverwriteEditedOption = False,
    prune: PruneOption = False,
    quiet: QuietOption = False,
) -> None:
    """Merge the outputs of all shards of a run into one.

    OUT is identical to the output of a single run; the command without --shard continues it.
    All shards must be present, finished, and made from the same inputs with the same options.
    Masks are hard-linked if the file system supports it.
    """
    from ..batch.merge import merge_shards
    from ..batch.segment import mask_writers
    from ..configs.run_identity import made_by

    reporter = ConsoleReporter(quiet=quiet)
    summary = merge_shards(
        [path_or_address(shard) for shard in shards],
        path_or_address(output),
        made_by(),
        writers=mask_writers(),
        overwrite=overwrite,
        overwrite_edited=overwrite_edited,
        prune=prune,
    )
    parts = [f"{summary.done} images", f"{summary.masks} masks"]
    parts += [f"{summary.empty} of them empty"] if summary.empty else []
    parts += [f"{len(summary.failed)} failed"] if summary.failed else []
    reporter.say(", ".join(parts))
    for path in summary.files:
        reporter.say(f"wrote {path}", "green")
    raise typer.Exit(summary.exit_code)
