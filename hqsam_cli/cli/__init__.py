"""The command line: one module per subcommand, each a thin layer over the library."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from contextlib import suppress

GC_THRESHOLD = 20_000  # objects; torch's import creates half a million, searched for cycles after every 700


def main() -> None:
    """The `hqsam` program: `run_command`, then the end of the process.

    The process ends when all threads and exit handlers have: unloading torch's libraries one by one takes 0.1 s, and
    another 130 MB.
    """
    code = 1

    def end() -> None:
        with suppress(OSError, ValueError):  # then Python's own exit reports it
            for stream in filter(None, (sys.stdout, sys.stderr)):
                stream.flush()
            os._exit(code)

    atexit.register(end)  # the first handler runs last
    try:
        run_command()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise


def run_command() -> None:
    """Run the command and exit; an interrupt is an exit code and no traceback, in the midst of imports too."""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        gc.set_threshold(GC_THRESHOLD)
        # Idle OpenMP threads soon sleep: spinning, the default, takes the cores from decoding and other processes, and
        # sleeping at once costs a run of many images on idle cores 4 % of its speed.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            signal.signal(signal.SIGHUP, signal.default_int_handler)
        from .plain import check_address_space

        check_address_space()
        from .app import run
    except KeyboardInterrupt:
        sys.exit(130)
    run()
