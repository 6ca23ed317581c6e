"""Scores of `lite` with other limits of the mask output `auto`: python tests/bench/auto_limits.py FOLDER…

Prompts are tight ground-truth boxes, in float32 and without windows; mIoU / mBIoU in percent. The first row is `sum`,
the last `hq`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

import hqsam_cli.modeling.sam as sam
from hqsam_cli import EvalConfig, evaluate

LIMITS = ((0.6, 0.7), (0.7, 0.8), (0.75, 0.85), (0.8, 0.9), (0.85, 0.95), (0.9, 1.0))


def scores(folders: list[str], mask_output: str) -> list[str]:
    """`mIoU / mBIoU` of a mask output on each folder."""
    config = EvalConfig(protocol="deploy", mask_output=(mask_output,), windows="off", dtype="float32")
    rows = {row.dataset: row.figures for row in evaluate(folders, config).rows}
    return [f"{own['mIoU']:.1f} / {own['mBIoU']:.1f}" for own in rows.values()]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    folders = parser.parse_args().folders
    table = Table("limits", *(Path(folder).name for folder in folders))
    table.add_row("sum", *scores(folders, "sum"))
    for limits in LIMITS:
        sam.UNSTABLE, sam.STABLE = limits
        table.add_row(", ".join(map(str, limits)), *scores(folders, "auto"))
    table.add_row("hq", *scores(folders, "hq"))
    Console().print(table)


if __name__ == "__main__":
    main()
