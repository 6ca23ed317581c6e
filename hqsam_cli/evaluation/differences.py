"""How far two rows of a table differ, and how sure that is: a paired bootstrap over images (Efron, 1979)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .report import Row, Samples

ROUNDS = 2000
LEVEL = 95  # percent of the rounds that lie within the interval
CHUNK = 100  # rounds drawn at once


@dataclass(frozen=True, slots=True)
class Difference:
    """Of a row's figure to that of another: the same images, prompts and data set.

    Attributes:
        row, against: what is compared.
        low, high: of the interval, in the unit of the figure.
        images: over which both have scores.
    """

    row: Row
    against: Row
    metric: str
    value: float
    low: float
    high: float
    images: int

    def as_json(self) -> dict[str, Any]:
        """As it stands in the JSON of an evaluation."""
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


def table_of_differences(found: Sequence[Difference]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells, a line a pair of rows."""
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
    """Of each row to SAM's of its model, and to that of the first model where there are several.

    Figures without scores of single images, such as AP, have no interval and are left out.
    """
    found = []
    first = rows[0].model if rows else ""
    for row in rows:
        same = [r for r in rows if (r.dataset, r.prompt) == (row.dataset, row.prompt)]
        base = next((r for r in same if (r.model, r.output) == (row.model, "sam")), None)
        other = next((r for r in same if (r.model, r.output) == (first, row.output)), None)
        for against in (base, other):
            if against is not None and against is not row:
                found += _compare(row, against, seed)
    return found


def _compare(row: Row, against: Row, seed: int) -> list[Difference]:
    made = []
    for metric, samples in row.samples.items():
        known = against.samples.get(metric, {})
        common = [image for image in samples if image in known]
        if common:
            value, low, high = paired_interval(
                {image: samples[image] for image in common}, {image: known[image] for image in common}, seed
            )
            made.append(Difference(row, against, metric, value, low, high, len(common)))
    return made


def paired_interval(ours: Samples, theirs: Samples, seed: int) -> tuple[float, float, float]:
    """The difference of two means over objects, and its interval if images were drawn again.

    Args:
        ours, theirs: of the same images: the sum of the scores of an image's objects, and how many they are.
    """
    a, b = (np.array([samples[image] for image in ours], float) for samples in (ours, theirs))
    value = _mean(a) - _mean(b)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(ROUNDS // CHUNK):
        places = rng.integers(0, len(a), (CHUNK, len(a)))
        drawn.append(_mean(a[places]) - _mean(b[places]))
    low, high = np.percentile(np.concatenate(drawn), [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(value), float(low), float(high)


def _mean(scores: np.ndarray) -> np.ndarray:
    """Of sums and counts (…, images, 2), the mean over all objects, (…)."""
    totals = scores.sum(axis=-2)
    return np.asarray(totals[..., 0] / totals[..., 1])
