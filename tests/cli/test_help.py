"""The help of the commands, completion in the shell, and terminals of few characters."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_names_are_completed_in_the_shell(hqsam: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("vit_own.pth").touch()
    for words, start, wanted in (
        ("segment --model", "vit_", {"vit_l", "vit_own.pth"}),
        ("segment --detector", "yolo11n", {"yolo11n.pt"}),
        ("segment --format", "coco,c", {"coco,cvat", "coco,cutout", "coco,crop"}),
        ("segment --dtype", "bf", {"bfloat16"}),
        ("results convert --format", "yolo-", {"yolo-seg", "yolo-obb"}),
        ("results convert --layout", "f", {"fiftyone"}),
    ):
        monkeypatch.setenv("_HQSAM_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", f"hqsam {words} {start}")
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) + 1))
        assert wanted <= set(hqsam().out.split())


def test_help_speaks_of_values_and_not_of_types(hqsam: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for command in ("segment", "detect", "eval", "train"):
        text = hqsam(command, "--help").out
        assert not re.search(r"<(bool|str|int|float|list|tuple|Path)", text)
        assert max(map(len, text.splitlines())) <= 80
    assert "[[x, y, label]" in " ".join(hqsam("segment", "--help").out.replace("│", "").split())


def test_help_is_quick_because_torch_stays_out() -> None:
    code = "import sys; import hqsam_cli.cli.app; sys.exit(any(m in sys.modules for m in ('torch', 'cv2', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


def test_terminals_that_cannot_show_a_character_get_another(photos: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, str(Path(__file__).with_name("hqsam_process.py")), "segment", str(photos)]
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    document = json.loads((photos.parent / "dets.json").read_text())
    document["images"] = [{"id": n, "file_name": f"gone \N{SNOWMAN} {n}.jpg"} for n in range(9)] + document["images"]
    document["annotations"] += [{"image_id": n, "bbox": [0, 0, 5, 5]} for n in range(9)]
    (photos.parent / "more.json").write_text(json.dumps(document))
    for arguments in (["--help"], ["--boxes", str(photos.parent / "more.json"), "--dry-run"]):
        ended = subprocess.run([*command, *arguments], env=environment, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert b"Traceback" not in ended.stderr
    assert b"gone \\u2603 0.jpg, gone \\u2603 1.jpg, gone \\u2603 2.jpg, ...)" in ended.stderr
