"""Graceful shutdown: the first SIGINT, SIGTERM or SIGHUP sets a flag, the second raises KeyboardInterrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """While entered, the first signal sets `wanted`; the next one raises KeyboardInterrupt.

    SIGHUP stays ignored if it is, as under `nohup`.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._again = self._held = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        # Python allows only the main thread to set signal handlers.
        if threading.current_thread() is threading.main_thread():
            numbers = [n for n in SIGNALS if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._handle) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Complete a block of writing: a second signal raises KeyboardInterrupt after it."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._again:
            raise KeyboardInterrupt

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._again = self.wanted
        self.wanted = True
        if self._again and not self._held:
            raise KeyboardInterrupt
