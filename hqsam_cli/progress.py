"""How a long piece of work tells people where it is: one interface for runs, evaluations and training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .records import ImageRecord


class Progress(Protocol):
    """Whoever shows how it goes; called from one thread, about images in input order."""

    def say(self, text: str, *, verbose: bool = False) -> None:
        """A message for people; `verbose` ones are for those who ask for more."""

    def on_start(self, total: int, done: int, *, title: str = "", unit: str = "image") -> None:
        """A piece of work begins.

        Args:
            total: how many images or steps it has, of which `done` were done before.
            title: what is worked on, where there are several pieces.
        """

    def on_record(self, record: ImageRecord) -> None:
        """An image is done, or its `error` says why not."""

    def on_problem(self, text: str) -> None:
        """Something was left out, and nothing failed for it."""

    def on_failure(self, text: str) -> None:
        """Something that was asked for failed, beside the images of `on_record`."""

    def advance(self, figures: str = "") -> None:
        """One image or step less to do; `figures` are what to show beside."""


class Silent:
    """Tells nobody."""

    def say(self, text: str, *, verbose: bool = False) -> None: ...

    def on_start(self, total: int, done: int, *, title: str = "", unit: str = "image") -> None: ...

    def on_record(self, record: ImageRecord) -> None: ...

    def on_problem(self, text: str) -> None: ...

    def on_failure(self, text: str) -> None: ...

    def advance(self, figures: str = "") -> None: ...


SILENT = Silent()
