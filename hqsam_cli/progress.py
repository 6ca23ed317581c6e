"""How a long piece of work tells people where it is: one interface for runs, evaluations and training."""

from __future__ import annotations

from typing import Any, Protocol


class Progress(Protocol):
    """Whoever shows how it goes; called from one thread, about images in input order."""

    def say(self, text: str) -> None:
        """A message for people."""

    def on_start(self, total: int, done: int, *, title: str = "", unit: str = "image") -> None:
        """A piece of work begins.

        Args:
            total: how many images or steps it has, of which `done` were done before.
            title: what is worked on, where there are several pieces.
        """

    def on_record(self, record: dict[str, Any]) -> None:
        """An image is done, or its `error` says why not."""

    def on_failure(self, text: str) -> None:
        """An image failed."""

    def on_problem(self, text: str) -> None:
        """Something was left out, and nothing failed for it."""

    def advance(self, figures: str = "") -> None:
        """One image or step less to do; `figures` are what to show beside."""


class Silent:
    """Tells nobody."""

    def say(self, text: str) -> None:
        """Nothing."""

    def on_start(self, total: int, done: int, *, title: str = "", unit: str = "image") -> None:
        """Nothing."""

    def on_record(self, record: dict[str, Any]) -> None:
        """Nothing."""

    def on_failure(self, text: str) -> None:
        """Nothing."""

    def on_problem(self, text: str) -> None:
        """Nothing."""

    def advance(self, figures: str = "") -> None:
        """Nothing."""
