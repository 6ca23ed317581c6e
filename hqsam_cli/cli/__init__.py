"""The command line: one module per subcommand, each a thin layer over the library."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """The `hqsam` command; from here on an interrupt is an exit code and no traceback, in the midst of imports too."""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            signal.signal(signal.SIGHUP, signal.default_int_handler)
        from .plain import check_address_space

        check_address_space()
        from .app import run
    except KeyboardInterrupt:
        sys.exit(130)
    run()
