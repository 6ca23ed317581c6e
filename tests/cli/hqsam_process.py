"""`hqsam` as a script, for tests that need a process of their own."""

from __future__ import annotations

from hqsam_cli.cli import main

if __name__ == "__main__":  # workers import this again where they are not forked, as on Python 3.14
    main()
