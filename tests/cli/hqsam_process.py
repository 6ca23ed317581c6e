"""`hqsam` as a script, for tests that need a process of their own."""

from __future__ import annotations

from hqsam_cli.cli import main

main()
