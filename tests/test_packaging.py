"""What the wheel contains."""

from __future__ import annotations

import ast
from pathlib import Path

from setuptools import find_packages
from setuptools.config.pyprojecttoml import read_configuration

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hqsam_cli"


def test_recipes_are_not_in_the_wheel_and_nothing_in_it_imports_them() -> None:
    find = read_configuration(ROOT / "pyproject.toml", expand=False)["tool"]["setuptools"]["packages"]["find"]
    packages = find_packages(str(ROOT), include=find["include"], exclude=find["exclude"])
    assert "hqsam_cli.evaluation" in packages and not [name for name in packages if "recipes" in name]
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "recipes":
            nodes = ast.walk(ast.parse(path.read_text("utf-8")))
            imported = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
            assert not [module for module in imported if "recipes" in module], path
