"""Progress and messages: one interface for runs, evaluations and training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .records import ImageRecord


class Progress(Protocol):
    """Receiver of progress and messages; called from one thread, with images in input order."""

    def say(self, text: str, *, verbose: bool = False) -> None:
        """A message; `verbose` ones are shown only with --verbose."""

    def on_start(self, total: int, done: int, *, title: str = "", unit: str = "image") -> None:
        """A task begins.

        Args:
            total: number of images or steps, of which `done` were done before.
            title: of the task, if there are several.
        """

    def on_record(self, record: ImageRecord) -> None:
        """An image is done or has failed."""

    def on_part(self, fraction: float) -> None:
        """A fraction of the current image or batch is done, 0 to 1; only of those that take long."""

    def on_problem(self, text: str) -> None:
        """A warning, such as skipped entries of a file."""

    def on_failure(self, text: str) -> None:
        """A failure other than those of `on_record`."""

    def advance(self, figures: str = "") -> None:
        """One image or step is done; `figures` are shown beside the progress."""


class Silent:
    """Ignores progress and messages."""

    def say(self, text: str, *, verbose: bool = False) -> None: ...

    def on_start(self, total: int, done: int, *, title: str = "", unit: str = "image") -> None: ...

    def on_record(self, record: ImageRecord) -> None: ...

    def on_part(self, fraction: float) -> None: ...

    def on_problem(self, text: str) -> None: ...

    def on_failure(self, text: str) -> None: ...

    def advance(self, figures: str = "") -> None: ...


SILENT = Silent()
