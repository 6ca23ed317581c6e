"""`hqsam info` from the outside."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

from hqsam_cli import __version__
from tests.cli.conftest import Run
from tests.local_hub import use_hub


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub cache without weights."""
    use_hub(monkeypatch, "http://127.0.0.1:9", str(tmp_path / "cache"))


def test_the_json_holds_what_a_bug_report_needs(hqsam: Run, tmp_path: Path) -> None:
    result = hqsam("info", "--json")
    assert result.code == 0
    facts = json.loads(result.out)
    assert facts["hqsam"] == __version__
    assert facts["python"] == platform.python_version()
    assert facts["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert {"ultralytics", "opencv", "pycocotools", "huggingface_hub"} <= facts["packages"].keys()
    assert facts["devices"][0]["name"] == "cpu"
    assert "float32" in facts["devices"][0]["dtypes"]
    assert facts["hub"] == {"endpoint": "http://127.0.0.1:9", "cache": str(tmp_path / "cache"), "offline": False}
    assert [row["name"] for row in facts["weights"]] == ["lite"]


def test_the_table_names_versions_devices_cache_and_weights(hqsam: Run, tmp_path: Path) -> None:
    result = hqsam("info")
    assert result.code == 0
    lines = {line.split("  ")[0]: line for line in result.out.splitlines()}
    for name, value in (
        ("hqsam", __version__),
        ("Python", platform.python_version()),
        ("cpu", "bfloat16"),
        ("hub cache", str(tmp_path / "cache")),
        ("weights", "lite"),
    ):
        assert value in lines[name]


def test_missing_packages_are_said_and_fail_nothing(hqsam: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_there(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("hqsam_cli.cli.info.version", not_there)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    result = hqsam("info")
    assert result.code == 0, result.err
    assert "torch cannot be imported" in result.out
    assert result.out.count("not installed") == 12
    assert "not usable" in result.out
    assert json.loads(hqsam("info", "--json").out)["devices"] == []
