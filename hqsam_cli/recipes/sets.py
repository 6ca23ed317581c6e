"""The data sets that recipes train on: one folder each, with `images/` and `masks/`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..data.pairs import Pair, find_pairs


def find_sets(data: Path, names: Iterable[str]) -> dict[str, list[Pair]]:
    """The pairs of each of the named data sets that is in a folder."""
    return {name: find_pairs(data / name).pairs for name in names if (data / name).is_dir()}


def evenly_spaced(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """At most `count` of the pairs."""
    places = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int)
    return [pairs[n] for n in places]
