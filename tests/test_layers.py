"""The structure in CONTRIBUTING.md is complete, and no import goes upward."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import hqsam_cli

ROOT = Path(hqsam_cli.__file__).parent
TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text("utf-8")
HOUSE, ORDER = re.findall(r"^```text\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)[:2]
LEVELS = {room: -level for level, line in enumerate(ORDER.splitlines()) for room in line.split()}
ROOMS = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}


def imported(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, anywhere in it, as `a.b` for `hqsam_cli.a.b`."""
    package = ["hqsam_cli", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.partition(".")[2] for name in names if name.startswith("hqsam_cli."))


def test_every_module_and_package_is_in_the_picture_and_in_the_order() -> None:
    drawn = {name.removesuffix(".py").rstrip("/") for name in re.findall(r"^  (\S+)", HOUSE, re.MULTILINE)}
    assert drawn == ROOMS - {"__init__"}
    assert set(LEVELS) == ROOMS - {"__init__"}


def test_no_module_imports_upward() -> None:
    upward = []
    for path in sorted(ROOT.rglob("*.py")):
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for name in imported(path):
            other = name.partition(".")[0]
            # `__version__` and what else `__init__` itself defines are no modules.
            if room == "__init__" or other == room or other not in ROOMS:
                continue
            if LEVELS[other] >= LEVELS[room]:
                upward.append(f"{path.relative_to(ROOT)} imports {name} upward")
    assert upward == []
