"""The benchmark of a GPU, on small images and models on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "bench" / "gpu.py"


def test_every_step_writes_its_results(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path, "--tiny", "--device", "cpu"], capture_output=True, text=True, check=False
    )
    found = {path.stem: json.loads(path.read_text()) for path in tmp_path.iterdir()}
    assert done.returncode == 0, (done.stderr, [own["error"] for own in found.values() if "error" in own])
    assert set(found) == {"masks", "encoder", "files", "compiled", "memory", "devices", "training"}
    assert found["masks"]["torch.float32"]["lowest_iou"] > 0.999
    assert found["masks"]["torch.bfloat16"]["lowest_iou"] > 0.9
    assert 0 < found["encoder"]["vit_tiny"]["batch 2"]["share"] < 1
    for model in ("lite", "large"):
        assert found["files"][model]["images_per_second"] > 0 < found["files"][model]["authors"]
        assert found["compiled"][model]["images_per_second"] > 0
    assert found["memory"]["lowest_iou"] == 1
    assert found["devices"]["devices"].count("cpu") == 2
    assert found["training"]["last"]["step"] == found["training"]["steps"]
