"""History of a run: scores of its epochs, and the number of finished steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Scores(NamedTuple):
    """Mean IoU and mean boundary IoU in percent, and the number of images."""

    miou: float
    mbiou: float
    images: int


def mean_scores(scores: Mapping[str, Scores]) -> Scores:
    """Unweighted mean over datasets, as in the paper's main results."""
    sets = list(scores.values())
    return Scores(
        sum(s.miou for s in sets) / len(sets), sum(s.mbiou for s in sets) / len(sets), sum(s.images for s in sets)
    )


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch, counted from 1, with the step that follows it and its validation scores, if any."""

    epoch: int
    step: int
    sets: dict[str, Scores] = field(default_factory=dict)

    @property
    def scores(self) -> Scores | None:
        """Mean over the validation sets."""
        return mean_scores(self.sets) if self.sets else None

    @property
    def validation_score(self) -> float:
        """mIoU + mBIoU, which selects the best epoch; without validation the last epoch is the best."""
        return self.epoch if self.scores is None else self.scores.miou + self.scores.mbiou

    def to_dict(self) -> dict[str, object]:
        """Convert to a JSON object."""
        head: dict[str, object] = {"epoch": self.epoch, "step": self.step}
        if (mean := self.scores) is None:
            return head
        return {**head, "miou": mean.miou, "mbiou": mean.mbiou, "sets": {k: list(v) for k, v in self.sets.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Epoch:
        """The inverse of `to_dict`."""
        sets = {name: Scores(*scores) for name, scores in values.get("sets", {}).items()}
        return cls(values["epoch"], values["step"], sets)


@dataclass(slots=True)
class History:
    """State of a run besides its weights.

    `command` started it, `base` holds mIoU and mBIoU of the base model, `skipped` lists problems with files.
    """

    step: int = 0
    command: str = ""
    base: dict[str, float] | None = None
    epochs: list[Epoch] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)

    def to_dict(self) -> dict[str, object]:
        """Convert to plain values for `train.pt`."""
        notes: dict[str, object] = {"command": self.command, "epochs": [epoch.to_dict() for epoch in self.epochs]}
        notes |= {} if self.base is None else {"base": self.base}
        return {"step": self.step, "notes": notes, "skipped": sorted(self.skipped)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> History:
        """The inverse of `to_dict`."""
        notes = values.get("notes", {})
        epochs = [Epoch.from_dict(epoch) for epoch in notes.get("epochs", ())]
        command = notes.get("command", "")
        return cls(values["step"], command, notes.get("base"), epochs, set(values.get("skipped", ())))
