"""A picture of how a run went."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from .saving import write_whole


def save_plot(metrics: Path, epochs: list[dict[str, Any]], path: Path) -> None:
    """Draw the loss over the steps and, where there was validation, mIoU and mBIoU over the epochs.

    Args:
        metrics: JSON lines with `step`, and `loss` in those of training.
        epochs: `step`, `miou` and `mbiou` of each.
    """
    from matplotlib.figure import Figure

    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    scored = [epoch for epoch in epochs if "miou" in epoch]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*losses, strict=True), color="tab:gray", linewidth=1, label="loss")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    if scored:
        steps = [epoch["step"] for epoch in scored]
        percent = axes.twinx()
        percent.plot(steps, [epoch["miou"] for epoch in scored], "o-", color="tab:blue", label="mIoU")
        percent.plot(steps, [epoch["mbiou"] for epoch in scored], "o-", color="tab:orange", label="mBIoU")
        percent.set_ylabel("validation, %")
    figure.legend(loc="outside upper center", ncols=3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_whole(path, buffer.getvalue)
