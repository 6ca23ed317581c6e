"""Images for runs at URLs, and helpers to compare their outputs."""

from __future__ import annotations

from pathlib import Path

import fsspec

from tests.io.files import photo

COUNT = 12
IMAGES = {f"{'sub/' if n % 2 else ''}{n}.png": photo(20 + n) for n in range(COUNT)}


def put(system: fsspec.AbstractFileSystem, folder: str) -> None:
    for name, content in IMAGES.items():
        system.pipe_file(f"{folder}/{name}", content)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of an output but the journal, which has times and paths."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != "journal.ndjson"}
