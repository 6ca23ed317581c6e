"""Differences between rows with confidence intervals, by paired bootstrap over images (Efron, 1979)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .rows import Row, Samples, Table

ROUNDS = 2000
LEVEL = 95  # percent
CHUNK = 100  # rounds per array


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of a metric between two rows of the same dataset and prompt, over the `images` that both have.

    `low` and `high` bound the confidence interval, in the unit of the metric.
    """

    row: Row
    against: Row
    metric: str
    value: float
    low: float
    high: float
    images: int

    def to_dict(self) -> dict[str, object]:
        """Convert to a JSON object."""
        row, against = self.row, self.against
        return {
            "model": row.model,
            "dataset": row.dataset,
            "prompt": row.prompt,
            "mask_output": row.output,
            "against": {"model": against.model, "mask_output": against.output},
            "metric": self.metric,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "images": self.images,
        }


def table_of_differences(found: Sequence[Difference]) -> Table:
    """Format the differences as a table, one line per pair of rows."""
    metrics = list(dict.fromkeys(difference.metric for difference in found))
    several = len({row.model for difference in found for row in (difference.row, difference.against)}) > 1
    lines: dict[tuple[int, int], dict[str, Difference]] = {}
    for difference in found:
        lines.setdefault((id(difference.row), id(difference.against)), {})[difference.metric] = difference
    cells = []
    for own in lines.values():
        first = next(iter(own.values()))
        row, against = first.row, first.against
        other = against.output if against.model == row.model else f"{against.model}, {against.output}"
        texts = [f"{d.value:+.1f} [{d.low:+.1f}, {d.high:+.1f}]" for d in (own[m] for m in metrics if m in own)]
        head = [*([row.model] if several else []), row.dataset, str(first.images), row.prompt, row.output, other]
        cells.append([*head, *texts])
    return [*(["model"] if several else []), "data set", "n", "prompt", "masks", "against", *metrics], cells


def differences(rows: Sequence[Row], seed: int) -> list[Difference]:
    """Compare each row with SAM's row of the same model, and with the row of the first model.

    Metrics without per-image values, such as AP, are left out.
    """
    found = []
    first = rows[0].model if rows else ""
    for row in rows:
        same = [r for r in rows if (r.dataset, r.prompt) == (row.dataset, row.prompt)]
        base = next((r for r in same if (r.model, r.output) == (row.model, "sam")), None)
        former = next((r for r in same if (r.model, r.output) == (first, row.output)), None)
        for against in (base, former):
            if against is None or against is row:
                continue
            for metric, samples in row.samples.items():
                others = against.samples.get(metric, {})
                ours = {image: own for image, own in samples.items() if image in others}
                if ours:
                    interval = paired_interval(ours, {image: others[image] for image in ours}, seed)
                    found.append(Difference(row, against, metric, *interval, len(ours)))
    return found


def paired_interval(ours: Samples, theirs: Samples, seed: int) -> tuple[float, float, float]:
    """Return the difference of two means over objects of the same images, and its interval."""
    both = np.array([[samples[image] for image in ours] for samples in (ours, theirs)], float)
    count, rng, found = both.shape[1], np.random.default_rng(seed), list[np.ndarray]()
    for places in (np.arange(count)[None], *(rng.integers(0, count, (CHUNK, count)) for _ in range(ROUNDS // CHUNK))):
        sums = both[:, places].sum(axis=2)  # of the metric and of objects, (2, rounds, 2)
        found.append(sums[0, :, 0] / sums[0, :, 1] - sums[1, :, 0] / sums[1, :, 1])
    (value,), *drawn = found
    low, high = np.percentile(np.concatenate(drawn), [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(value), float(low), float(high)
