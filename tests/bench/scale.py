"""What a run of millions of photos takes, from the stages of a small one: `python tests/bench/scale.py PHOTOS BOXES`.

PHOTOS is a folder and BOXES a file for `hqsam segment`, which is run on them; its journal says how long decoding, the
model and writing took. The journal itself is timed by noting the records of that run over and over, one by one, and
by reading what was written.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hqsam_cli.batch.journal import Journal, read_journal
from hqsam_cli.io.run_folder import JOURNAL

PROGRAM = "from hqsam_cli.cli import main; main()"
MILLION = 1_000_000


def main() -> None:
    """Print what a photo takes, and what that makes of a million."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("boxes", type=Path)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--records", type=int, default=100_000, help="that are noted for the time of the journal")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        command = [sys.executable, "-c", PROGRAM, "segment", str(arguments.photos), "--boxes", str(arguments.boxes)]
        began = time.perf_counter()
        subprocess.run([*command, "--model", arguments.model, "-o", str(out)], check=True)
        whole = time.perf_counter() - began
        records = [record for record in read_journal(out / JOURNAL).records() if not record.failure]
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file() and path.name != JOURNAL)
        masks = sum(len(record.annotations) for record in records)
        noted = Journal(Path(folder, JOURNAL), {}, overwrite=False)
        began = time.perf_counter()
        for n, record in enumerate(itertools.islice(itertools.cycle(records), arguments.records)):
            noted.append([replace(record, file_name=f"{n:07d}.jpg")])
        writing = (time.perf_counter() - began) / arguments.records
        noted.close()
        journal_size = Path(folder, JOURNAL).stat().st_size / arguments.records
        began = time.perf_counter()
        read_journal(Path(folder, JOURNAL))
        reading = (time.perf_counter() - began) / arguments.records
    table = Table(title=f"{len(records)} photos, {masks / len(records):.1f} masks each, {arguments.model}")
    for column in ("", "a photo", "a million", "a billion"):
        table.add_column(column, justify="right" if column else "left")
    seconds_of = [record.origin.seconds or {} for record in records]
    stages = {stage: statistics.mean(own[stage] for own in seconds_of) for stage in seconds_of[0]}
    for stage, seconds in [*stages.items(), ("noting in the journal", writing), ("reading the journal", reading)]:
        table.add_row(stage, f"{1000 * seconds:.2f} ms", *(f"{seconds * n / 3600:,.1f} h" for n in (MILLION, 10**9)))
    for name, count in (("results", size / len(records)), ("journal", journal_size)):
        table.add_row(name, f"{count / 1000:.1f} kB", *(f"{count * n / 1e9:,.1f} GB" for n in (MILLION, 10**9)))
    console = Console()
    console.print(table)
    console.print(f"the whole command: {whole:.1f} s; one journal keeps up with {1 / writing:,.0f} photos a second")


if __name__ == "__main__":
    main()
