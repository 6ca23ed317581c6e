"""The plot of a training run."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

from .history import Epoch
from .saving import write_whole


def save_plot(metrics: Path, epochs: Sequence[Epoch], path: Path) -> None:
    """Plot the loss per step, from the JSON lines in `metrics`, and mIoU and mBIoU per epoch, if any."""
    from matplotlib.figure import Figure

    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    scored = [(epoch.step, epoch.scores) for epoch in epochs if epoch.scores is not None]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*losses, strict=True), color="tab:gray", linewidth=1, label="loss")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    if scored:
        steps = [step for step, _ in scored]
        percent = axes.twinx()
        percent.plot(steps, [scores.miou for _, scores in scored], "o-", color="tab:blue", label="mIoU")
        percent.plot(steps, [scores.mbiou for _, scores in scored], "o-", color="tab:orange", label="mBIoU")
        percent.set_ylabel("validation, %")
    figure.legend(loc="outside upper center", ncols=3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_whole(path, buffer.getvalue)
