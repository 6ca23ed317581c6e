"""Entries of results that are left out or changed, counted for the user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..formats.values import EXAMPLES, some_of


@dataclass(slots=True)
class Problems:
    """Problems of a file, each with the number of its entries and a few examples.

    Attributes:
        file: path or URL in the messages.
    """

    file: Path | str
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, where: str) -> None:
        """Count an entry."""
        self.counts[what] = self.counts.get(what, 0) + 1
        examples = self.examples.setdefault(what, [])
        if len(examples) <= EXAMPLES and where not in examples:
            examples.append(where)

    def __iter__(self) -> Iterator[str]:
        """Yield a line per problem."""
        return (f"{self.file}: {what}: {count} ({some_of(self.examples[what])})" for what, count in self.counts.items())
