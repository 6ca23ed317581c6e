"""Programs that read what is written, and that need another OpenCV than this tool: `make test` installs them apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

READERS = Path(sys.prefix, "readers", "bin", "python")


def ask_readers(program: str, *arguments: str | Path) -> Any:
    """What a Python program prints as JSON in the environment of these readers; the test skips where there is none."""
    if not READERS.exists():
        pytest.skip(f"there is no {READERS}: make test installs it")
    command = [str(READERS), "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
