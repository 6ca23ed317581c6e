"""One image and one box from start to end of the process: `python tests/bench/first.py [--beside CHECKOUT]`.

`hqsam segment` with `lite` on a CPU, a bare `import torch`, and `hqsam segment` of another checkout or with an exported
model run in turns, each in a new process. CPU time, of all threads, depends little on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from files import write_photos
from rich.console import Console
from rich.table import Table
from scale import PROGRAM

MEGAPIXELS = (1.0, 1.0)
COLUMNS = ("", "CPU, s", "of import torch", "faster", "elapsed, s", "peak, GB")


# Linux counts the memory of the process that starts another as the peak of both, so a small one is in between.
STARTER = """
import os, subprocess, sys
_, status, used = os.wait4(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid, 0)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measure(code: str, arguments: list[str], checkout: Path, environment: dict[str, str]) -> tuple[float, float, float]:
    """CPU time and elapsed time in seconds, and peak memory in GB, of Python code in a process."""
    command = [sys.executable, "-c", code, *arguments]
    began = time.perf_counter()
    starter = [sys.executable, "-c", STARTER, *command]
    ended = subprocess.run(starter, env=environment, cwd=checkout, stdout=subprocess.PIPE)  # `-c` imports from there
    if ended.returncode:
        sys.exit(f"failed: {' '.join(command)}")
    cpu, memory = map(float, ended.stdout.split())
    return cpu, time.perf_counter() - began, memory / 1e6


def main() -> None:
    """Print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, help="another checkout of this repository")
    parser.add_argument("--exported", type=Path, help="folder of hqsam export lite, for a run without torch")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    # An installed package is compiled; and before ultralytics, imported for its photos, sets the number of threads.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    here = Path(__file__).resolve().parents[2]
    checkouts = {"hqsam segment": here}
    if arguments.beside is not None:
        checkouts["the other checkout"] = arguments.beside.resolve()
    with tempfile.TemporaryDirectory() as place:
        environment["PYTHONPYCACHEPREFIX"] = f"{place}/cache"
        folder = Path(place, "input")
        write_photos(folder, 1, 1, MEGAPIXELS)
        options = ["segment", str(folder / "photos"), "--boxes", str(folder / "boxes.json"), "--device", "cpu", "-q"]
        programs = {"import torch": ("import torch", list[str](), here)}
        if arguments.exported is not None:
            exported = [
                *options,
                "--model",
                str(arguments.exported.resolve()),
                "--overwrite",
                "-o",
                f"{place}/exported",
            ]
            programs["the exported model"] = (PROGRAM, exported, here)
        for n, (name, checkout) in enumerate(checkouts.items()):
            programs[name] = (PROGRAM, [*options, "--overwrite", "-o", f"{place}/{n}"], checkout)
        rounds = [
            {name: measure(*program, environment) for name, program in programs.items()}
            for _ in range(arguments.rounds + 1)
        ][1:]  # the first compiles the modules
        masks = [Path(place, str(n)) for n in range(len(checkouts))]
        files = [sorted((path.name, path.read_bytes()) for path in own.rglob("*.png")) for own in masks]
    table = Table(title=f"one image of {MEGAPIXELS[0]:g} megapixel, one box, medians of {arguments.rounds} rounds")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column else "left")
    for name in programs:
        cpu, elapsed, memory = (statistics.median(own[name][k] for own in rounds) for k in range(3))
        torchs, faster = (
            statistics.median(own[a][0] / own[b][0] for own in rounds)
            for a, b in ((name, "import torch"), (list(programs)[-1], name))
        )
        table.add_row(name, *(f"{value:.2f}" for value in (cpu, torchs, faster, elapsed, memory)))
    console = Console()
    console.print(table)
    if len(checkouts) > 1:
        console.print("masks are equal" if files[0] == files[1] else "masks differ")


if __name__ == "__main__":
    main()
