"""`hqsam weights` from the outside."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hqsam_cli.weights.checkpoints import read_state
from hqsam_cli.weights.conversion import is_hq
from hqsam_cli.weights.registry import ARCHITECTURES, PACKAGED, WEIGHTS, build_model, vit_architecture
from tests.cli.conftest import Run
from tests.local_hub import LocalHub, serving, use_hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A hub whose `vit_tiny` is the model of the package, and whose `mobile_sam` is the same without HQ modules."""
    state, metadata = read_state(PACKAGED["lite"])
    save_file({k: v for k, v in state.items() if not is_hq(k)}, tmp_path / "sam.safetensors", metadata=metadata)
    with serving() as hub:
        use_hub(monkeypatch, hub.url, str(tmp_path / "cache"))
        entries = {
            "vit_tiny": hub.add("world/hq", "hq.pth", PACKAGED["lite"].read_bytes()),
            "mobile_sam": hub.add("team/sam", "sam.pt", (tmp_path / "sam.safetensors").read_bytes()),
        }
        for name, entry in entries.items():
            monkeypatch.setitem(WEIGHTS, name, entry)
        yield hub


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """A random HQ-SAM with a ViT of two narrow blocks, and `small.pth` of it."""
    monkeypatch.setitem(ARCHITECTURES, "vit_b", vit_architecture(32, 2, 2, (1,)))
    torch.manual_seed(0)
    state = {key: torch.randn(value.shape) for key, value in build_model("vit_b").state_dict().items()}
    torch.save(state, tmp_path / "small.pth")
    return state


def test_the_list_says_what_is_here(hqsam: Run, hub: LocalHub) -> None:
    before = {row["name"]: row for row in json.loads(hqsam("weights", "list", "--json").out)}
    assert set(before) == {"lite", *WEIGHTS}
    assert before["lite"]["state"] == "here"
    assert before["vit_l"] == {
        "name": "vit_l",
        "repository": "lkeab/hq-sam",
        "file": "sam_hq_vit_l.pth",
        "bytes": 1254865805,
        "sha256": "e1a6c385d62bf005ded91a54d5ec55c985cfc4103ef89c08d90f39f04934c343",
        "state": "absent",
        "path": None,
    }
    pulled = hqsam("weights", "pull", "vit_tiny", "mobile_sam")
    assert pulled.code == 0
    paths = pulled.out.splitlines()
    assert [Path(path).name for path in paths] == ["hq.pth", "sam.pt"]
    assert "downloading hq.pth" in pulled.err
    after = {row["name"]: row for row in json.loads(hqsam("weights", "list", "--json").out)}
    assert [after[name]["path"] for name in ("vit_tiny", "mobile_sam")] == paths
    table = {line.split()[0]: line.split() for line in hqsam("weights", "list").out.splitlines() if line.strip()}
    assert table["vit_tiny"][4] == "available"
    assert table["vit_l"][4] == "-"


def test_a_quiet_pull_prints_the_path_alone(hqsam: Run, hub: LocalHub) -> None:
    result = hqsam("weights", "pull", "vit_tiny", "--quiet")
    assert (result.code, result.err) == (0, "")
    assert Path(result.out.strip()).read_bytes() == PACKAGED["lite"].read_bytes()


@pytest.mark.usefixtures("default_model")
def test_segment_fetches_on_first_use_and_needs_no_hub_after(
    hqsam: Run, hub: LocalHub, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("segment", photos, "--boxes", "dets.json", "--format", "coco")
    first = hqsam(*command, "--model", "vit_tiny", "-o", "one")
    assert first.code == 0, first.err
    assert "downloading hq.pth (21 MB)" in first.err
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert hqsam(*command, "--model", "vit_tiny", "-o", "two").code == 0
    assert hqsam(*command, "-o", "three").code == 0
    found = [json.loads(Path(folder, "instances.json").read_text()) for folder in ("one", "two", "three")]
    assert [document.pop("info")["model"] for document in found] == ["vit_tiny", "vit_tiny", "lite"]
    assert found[0] == found[1] == found[2]


def test_a_dry_run_fetches_nothing(hqsam: Run, hub: LocalHub, photos: Path, tmp_path: Path) -> None:
    result = hqsam("segment", photos, "--boxes", "dets.json", "--model", "vit_tiny", "--dry-run")
    assert result.code == 0 and "left     2" in result.out
    assert "not downloaded" in hqsam("weights", "info", "vit_tiny").err
    trained = hqsam("train", "--model", "vit_tiny", "--data", photos, "--dry-run")
    assert trained.code in (1, 4)
    assert "not downloaded" in hqsam("detect", photos, "--detector", "yolo11n", "--dry-run").err


def test_a_plain_sam_by_name_makes_sam_masks(hqsam: Run, hub: LocalHub, photos: Path) -> None:
    command = ("segment", photos, "--boxes", "dets.json", "--model", "mobile_sam")
    refused = hqsam(*command)
    assert refused.code == 2
    assert "--mask-output sam" in refused.err
    assert hqsam(*command, "--mask-output", "sam").code == 0


def test_segment_refuses_wrong_weights_in_one_line(hqsam: Run, hub: LocalHub, photos: Path) -> None:
    hub.files["world/hq/hq.pth"] = PACKAGED["lite"].read_bytes()[:-1] + b"x"
    result = hqsam("segment", photos, "--salient", "--model", "vit_tiny")
    assert result.code == 1
    assert "SHA-256" in result.err
    assert len(result.err.splitlines()) == 2  # what is fetched, and the error
    assert not Path("hqsam_out").exists()


def test_verify_finds_what_is_damaged_and_pull_repairs_it(hqsam: Run, hub: LocalHub) -> None:
    assert hqsam("weights", "verify").code == 4
    path = Path(hqsam("weights", "pull", "vit_tiny").out.strip())
    sound = hqsam("weights", "verify")
    assert sound.code == 0
    assert "official" in sound.out
    content = bytearray(PACKAGED["lite"].read_bytes())
    content[-1] ^= 1
    path.resolve().write_bytes(content)
    damaged = hqsam("weights", "verify", "vit_tiny")
    assert damaged.code == 1
    assert "SHA-256" in damaged.out
    assert "hqsam weights pull vit_tiny" in damaged.err
    assert hqsam("weights", "pull", "vit_tiny").code == 0
    assert hqsam("weights", "verify", "vit_tiny").code == 0


def test_verify_knows_official_files_by_their_bytes(hqsam: Run, hub: LocalHub) -> None:
    Path("renamed.bin").write_bytes(PACKAGED["lite"].read_bytes())
    known = hqsam("weights", "verify", "renamed.bin")
    assert known.code == 0
    assert "official vit_tiny" in known.out
    Path("other.bin").write_bytes(b"other")
    unknown = hqsam("weights", "verify", "renamed.bin", "other.bin")
    assert unknown.code == 1
    assert hashlib.sha256(b"other").hexdigest() in unknown.out
    assert "1 of 2" in unknown.err


def test_info_tells_what_a_file_holds(hqsam: Run) -> None:
    facts = json.loads(hqsam("weights", "info", "lite", "--json").out)
    assert facts["kind"] == "HQ-SAM"
    assert facts["architecture"] == "vit_tiny"
    assert facts["sha256"] == hashlib.sha256(PACKAGED["lite"].read_bytes()).hexdigest()
    assert facts["dtypes"] == ["float16"]
    assert facts["bytes"] == PACKAGED["lite"].stat().st_size
    assert facts["hq_share"] == pytest.approx(facts["hq_parameters"] / facts["parameters"], abs=1e-6)
    assert facts["metadata"]["image_size"] == str(facts["image_size"])
    text = hqsam("weights", "info", PACKAGED["lite"]).out
    assert facts["sha256"] in text
    assert f"{facts['parameters']:,}" in text


def test_merge_makes_a_checkpoint_that_segments_the_same(hqsam: Run, hub: LocalHub, photos: Path) -> None:
    state, _ = read_state(PACKAGED["lite"])
    torch.save({key: value for key, value in state.items() if is_hq(key)}, "hq.pth")
    result = hqsam("weights", "merge", "mobile_sam", "hq.pth", "-o", "whole.safetensors")
    assert result.code == 0, result.err
    for model in ("lite", "whole.safetensors"):
        command = ("segment", photos, "--boxes", "dets.json", "--format", "coco", "--model", model)
        assert hqsam(*command, "-o", f"out_{model}").code == 0
    one, two = (json.loads(Path(f"out_{model}/instances.json").read_text()) for model in ("lite", "whole.safetensors"))
    assert one.pop("info")["model"] == "lite" and two.pop("info")["model"] == "whole.safetensors"
    assert one == two


def test_convert_goes_to_every_form_and_back(hqsam: Run, small: dict[str, Tensor]) -> None:
    steps = ["small.pth", "a.safetensors", "folder", "b.pth", "c.safetensors"]
    for source, target in pairwise(steps):
        options = ("--layout", "transformers") if target == "b.pth" else ()
        result = hqsam("weights", "convert", source, target, *options)
        assert result.code == 0, result.err
    assert json.loads(Path("folder/config.json").read_text())["vision_config"]["num_hidden_layers"] == 2
    assert load_file("folder/model.safetensors").keys() == torch.load("b.pth", weights_only=True).keys() != small.keys()
    final = load_file("c.safetensors")
    assert final.keys() == small.keys()
    assert all(torch.equal(final[key], small[key]) for key in small)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["pull", "vit_x"], 2, "vit_x"),
        (["pull", "lite"], 2, "vit_tiny"),
        (["info", "gone.pth"], 2, "gone.pth"),
        (["info", "vit_l"], 1, "hqsam weights pull vit_l"),
        (["info", "text.pth"], 1, "text.pth"),
        (["merge", "lite", "gone.pth", "-o", "out.pth"], 1, "gone.pth"),
        (["merge", "lite", "text.pth"], 2, "--output"),
        (["convert", "lite", "out.bin"], 2, ".safetensors"),
        (["convert", "lite", "folder"], 1, "vit_b"),
        (["convert", "lite", "folder", "--layout", "official"], 2, "folder"),
        (["convert", "lite", "text.pth/out.pth"], 1, "text.pth/out.pth"),
    ],
)
def test_mistakes_end_in_one_line(
    hqsam: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    use_hub(monkeypatch, "http://127.0.0.1:9", str(tmp_path / "cache"))
    Path("text.pth").write_text("<html>404</html>")
    result = hqsam("weights", *arguments)
    assert result.code == code, result.err
    assert said in result.err
    assert "Traceback" not in result.err
    assert not Path("out.pth").exists()


def test_a_file_that_is_there_is_not_replaced_unasked(hqsam: Run, small: dict[str, Tensor]) -> None:
    Path("mine.pth").write_bytes(b"mine")
    for command in (("convert", "small.pth", "mine.pth"), ("merge", "lite", "small.pth", "-o", "mine.pth")):
        result = hqsam("weights", *command)
        assert (result.code, "--overwrite" in result.err) == (2, True)
    assert Path("mine.pth").read_bytes() == b"mine"
    assert hqsam("weights", "convert", "small.pth", "mine.pth", "--overwrite").code == 0


@pytest.mark.parametrize("target", ["out.pth", "out.safetensors"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, target: str) -> None:
    (tmp_path / target).write_bytes(b"old")
    program = "import sys; from hqsam_cli.cli import main; sys.argv[0] = 'hqsam'; main()"
    run = subprocess.run(
        [sys.executable, "-c", program, "weights", "convert", "--overwrite", "lite", str(tmp_path / target)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert f"{target}: cannot be written (File too large)" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == [target]
    assert (tmp_path / target).read_bytes() == b"old"


def test_half_precision_rounds_every_tensor(hqsam: Run, small: dict[str, Tensor], tmp_path: Path) -> None:
    assert hqsam("weights", "convert", "small.pth", "half.safetensors", "--half").code == 0
    state, _ = read_state(tmp_path / "half.safetensors")
    assert state.keys() == small.keys()
    assert all(torch.equal(state[key], value.half()) for key, value in small.items())
    facts = json.loads(hqsam("weights", "info", "half.safetensors", "--json").out)
    assert facts["dtypes"] == ["float16"]
