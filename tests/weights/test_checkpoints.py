"""Valid and invalid checkpoints."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from hqsam_cli.errors import HqsamError
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.weights.checkpoints import (
    default_mask_output,
    load_checkpoint,
    load_model,
    merge_checkpoint,
    read_checkpoint,
    read_state,
    write_checkpoint,
)
from hqsam_cli.weights.conversion import is_hq
from hqsam_cli.weights.hub import find_checkpoint
from hqsam_cli.weights.registry import ARCHITECTURES, PACKAGED, build_model, infer_architecture, vit_architecture


@pytest.fixture(scope="module")
def tiny() -> dict[str, Tensor]:
    """State of a random `vit_tiny` HQ-SAM."""
    torch.manual_seed(0)
    return build_model("vit_tiny", device="cpu").state_dict()


def same(path: Path, state: dict[str, Tensor]) -> bool:
    loaded = load_checkpoint(path).state_dict()
    return loaded.keys() == state.keys() and all(torch.equal(loaded[key], state[key]) for key in state)


def test_torch_and_safetensors_files_load_regardless_of_their_name(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    torch.save(tiny, tmp_path / "sam_hq_vit_h.pth")
    torch.save({"model": tiny, "epoch": 3}, tmp_path / "wrapped.pt")
    save_file({key: value.contiguous() for key, value in tiny.items()}, tmp_path / "any.safetensors")
    for name in ("sam_hq_vit_h.pth", "wrapped.pt", "any.safetensors"):
        assert same(tmp_path / name, tiny)


def test_half_precision_files_become_float32(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    half = {key: value.half() if value.is_floating_point() else value for key, value in tiny.items()}
    torch.save(half, tmp_path / "half.pth")
    loaded = load_checkpoint(tmp_path / "half.pth").state_dict()
    assert {value.dtype for value in loaded.values() if value.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize(
    ("metadata", "expected"), [({}, "sum"), ({"mask_output": "auto"}, "auto"), ({"mask_output": "__class__"}, "sum")]
)
def test_the_default_mask_output_is_in_the_metadata(
    tmp_path: Path, tiny: dict[str, Tensor], metadata: dict[str, str], expected: str
) -> None:
    path = rewritten(tmp_path / "own.safetensors", tiny, metadata, safetensors=True)
    assert default_mask_output(path) == load_model(path).mask_output == Predictor(load_model(path)).mask_output
    assert default_mask_output(path) == expected


def test_lite_has_auto_and_files_without_metadata_have_sum(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    torch.save(tiny, tmp_path / "sam_hq_vit_tiny.pth")
    assert default_mask_output(tmp_path / "sam_hq_vit_tiny.pth") == "sum"
    assert default_mask_output(PACKAGED["lite"]) == load_model().mask_output == "auto"


def test_a_plain_sam_has_no_hq(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    plain = build_model("vit_tiny", has_hq=False, device="cpu").state_dict().keys()
    torch.save({key: tiny[key] for key in plain}, tmp_path / "mobile_sam.pt")
    assert not load_checkpoint(tmp_path / "mobile_sam.pt").has_hq


@pytest.mark.parametrize("name", ["vit_tiny", "vit_b", "vit_l", "vit_h"])
@pytest.mark.parametrize("has_hq", [True, False])
def test_the_architecture_is_inferred(name: str, has_hq: bool) -> None:
    with torch.device("meta"):
        assert infer_architecture(build_model(name, has_hq=has_hq).state_dict()) == name


def test_wrong_keys_and_shapes_are_reported(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    broken = dict(tiny)
    del broken["mask_decoder.hf_mlp.layers.1.weight"]
    broken["mask_decoder.surprise"] = torch.zeros(1)
    torch.save(broken, tmp_path / "broken.pth")
    with pytest.raises(HqsamError) as caught:
        load_model(tmp_path / "broken.pth")
    for part in ("broken.pth", "HQ-SAM vit_tiny", "mask_decoder.hf_mlp.layers.1.weight", "mask_decoder.surprise"):
        assert part in str(caught.value)

    torch.save(tiny | {"mask_decoder.iou_token.weight": torch.zeros(2, 256)}, tmp_path / "shape.pth")
    with pytest.raises(HqsamError, match=r"iou_token.*\(2, 256\)"):
        load_model(tmp_path / "shape.pth")


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    torch.save({"image_encoder.pos_embed": Bomb(target)}, tmp_path / "bomb.pth")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Bomb(target)))
    for name in ("bomb.pth", "bare.pth"):
        with pytest.raises(HqsamError, match=name):
            load_model(tmp_path / name)
    assert not target.exists()


def test_invalid_files_are_reported_by_name(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    torch.save(tiny, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pth").write_text("<html>404</html>")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({0: torch.zeros(3)}, tmp_path / "numbers.pth")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save({"mask_decoder.compress_vit_feat.0.weight": torch.zeros(())}, tmp_path / "scalar.pth")
    torch.save({"vision_encoder.pos_embed": torch.zeros(())}, tmp_path / "theirs.pth")
    names = ("cut.pth", "text.pth", "empty.pth", "cut.safetensors", "list.pth", "other.pth", "gone.pth")
    for name in (*names, "numbers.pth", "scalar.pth", "theirs.pth"):
        with pytest.raises(HqsamError) as caught:
            load_model(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module._orig_mod.", "model.sam."])
def test_wrapper_prefixes_are_stripped(tmp_path: Path, tiny: dict[str, Tensor], prefix: str) -> None:
    torch.save({"state_dict": {prefix + key: value for key, value in tiny.items()}}, tmp_path / "x.pth")
    assert same(tmp_path / "x.pth", tiny)


def test_a_decoder_of_the_authors_training(tmp_path: Path, tiny: dict[str, Tensor], parts: tuple[Path, Path]) -> None:
    decoder = {key.removeprefix("mask_decoder."): x for key, x in tiny.items() if key.startswith("mask_decoder.")}
    torch.save({f"module.{key}": value for key, value in decoder.items()}, tmp_path / "epoch_11.pth")
    assert read_checkpoint(tmp_path / "epoch_11.pth").kind == "HQ decoder"
    with pytest.raises(HqsamError, match=r"HQ decoder without SAM weights.*weights merge"):
        load_model(tmp_path / "epoch_11.pth")
    torch.save(merge_checkpoint(parts[0], tmp_path / "epoch_11.pth").state, tmp_path / "merged.pth")
    assert same(tmp_path / "merged.pth", tiny)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer.*git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "HTML page"),
        (pickle.dumps({"model": {"w": np.float64(3)}}, protocol=2), "numpy objects.*state_dict"),
    ],
)
def test_placeholders_are_recognized(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(HqsamError, match=rf"x\.pth: .*{said}"):
        load_model(tmp_path / "x.pth")


def test_numpy_objects_are_reported(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    torch.save({"model": tiny, "best": np.float64(0.5)}, tmp_path / "x.pth")
    with pytest.raises(HqsamError, match=r"x\.pth: contains numpy objects"):
        load_model(tmp_path / "x.pth")


def rewritten(path: Path, state: dict[str, Tensor], metadata: dict[str, str], *, safetensors: bool) -> Path:
    with open(path, "wb") as file:
        write_checkpoint(file, state, metadata, safetensors=safetensors)
    return path


def test_metadata_survives_both_formats(tmp_path: Path) -> None:
    lite = read_checkpoint(find_checkpoint("lite"))
    kept = lite.metadata | {"image_size": "448"}  # which a torch file omits for the default input size
    one = rewritten(tmp_path / "one.pth", lite.state, kept, safetensors=False)
    state, metadata = read_state(one)
    two = rewritten(tmp_path / "two.safetensors", state, metadata, safetensors=True)
    for path in (one, two):
        again = read_checkpoint(path)
        assert again.metadata == kept
        assert again.state.keys() == lite.state.keys()
        assert all(torch.equal(again.state[key], lite.state[key]) for key in lite.state)
        assert again.dtypes == ["float16"]
        assert load_model(path).image_size == 448
    assert one.stat().st_size < 1.1 * two.stat().st_size


def test_a_torch_file_of_the_default_input_size_is_a_plain_state_dict(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    metadata = {"image_size": "1024", "command": "hqsam train"}
    path = rewritten(tmp_path / "plain.pth", tiny, metadata, safetensors=False)
    assert torch.load(path, weights_only=True).keys() == tiny.keys()


def test_parameter_counts_are_the_published_ones(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    torch.save(tiny, tmp_path / "tiny.pth")
    found = read_checkpoint(tmp_path / "tiny.pth")
    assert (found.kind, found.architecture, found.layout) == ("HQ-SAM", "vit_tiny", "official")
    assert found.parameters == (10_578_604, 448_512)
    assert found.dtypes == ["float32"]


@pytest.fixture
def parts(tmp_path: Path, tiny: dict[str, Tensor]) -> tuple[Path, Path]:
    """The same HQ-SAM in two files: the SAM, and the HQ modules."""
    torch.save({key: value for key, value in tiny.items() if not is_hq(key)}, tmp_path / "sam.pth")
    save_file({key: value for key, value in tiny.items() if is_hq(key)}, tmp_path / "hq.safetensors")
    return tmp_path / "sam.pth", tmp_path / "hq.safetensors"


def test_a_sam_and_its_hq_modules_are_merged(tmp_path: Path, tiny: dict[str, Tensor], parts: tuple[Path, Path]) -> None:
    found = read_checkpoint(parts[1])
    assert (found.kind, found.architecture, found.parameters) == ("HQ modules", "vit_tiny", (448_512, 448_512))
    with pytest.raises(HqsamError, match="hqsam weights merge"):
        load_model(parts[1])
    torch.save(merge_checkpoint(*parts).state, tmp_path / "merged.pth")
    assert same(tmp_path / "merged.pth", tiny)


def test_merging_replaces_hq_modules_and_keeps_metadata(tmp_path: Path) -> None:
    lite = read_checkpoint(find_checkpoint("lite"))
    added = {key: value.float() + 1 for key, value in lite.state.items() if is_hq(key)}
    hq = rewritten(tmp_path / "hq.pth", added, {"image_size": "448", "trained_on": "x"}, safetensors=False)
    merged = merge_checkpoint(find_checkpoint("lite"), hq)
    assert merged.metadata == lite.metadata | {"image_size": "448", "trained_on": "x"}
    assert merged.model is not None
    assert merged.model.image_size == 448
    assert merged.state.keys() == lite.state.keys()
    for key, value in merged.state.items():
        assert torch.equal(value, added[key] if is_hq(key) else lite.state[key])


def test_an_iou_head_is_optional_and_read_strictly(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    plain = load_checkpoint(rewritten(tmp_path / "plain.pth", tiny, {}, safetensors=False))
    assert plain.mask_decoder.hf_iou_head is None
    scored = build_model("vit_tiny", has_iou_head=True, device="cpu").state_dict()
    path = rewritten(tmp_path / "scored.safetensors", scored, {}, safetensors=True)
    assert same(path, scored)
    hq_only = {key: value for key, value in scored.items() if is_hq(key)}
    assert len(hq_only) == sum(map(is_hq, tiny)) + 4
    merged = merge_checkpoint(path, rewritten(tmp_path / "hq.pth", hq_only, {}, safetensors=False))
    assert merged.state.keys() == scored.keys()
    without = {key: value for key, value in hq_only.items() if key in tiny}
    merged = merge_checkpoint(path, rewritten(tmp_path / "hq.pth", without, {}, safetensors=False))
    assert merged.state.keys() == tiny.keys(), "a head belongs to the HQ modules that it was trained for"
    del scored["mask_decoder.hf_iou_head.mlp.layers.1.bias"]
    with pytest.raises(HqsamError, match=r"1 keys missing, first mask_decoder\.hf_iou_head"):
        load_checkpoint(rewritten(tmp_path / "part.pth", scored, {}, safetensors=False))


def test_incompatible_files_are_not_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: dict[str, Tensor], parts: tuple[Path, Path]
) -> None:
    monkeypatch.setitem(ARCHITECTURES, "vit_b", vit_architecture(32, 2, 2, (1,)))
    other = {key: torch.zeros(value.shape) for key, value in build_model("vit_b").state_dict().items()}
    torch.save(other, tmp_path / "vit_b.pth")
    sam, hq = parts
    modules = {key: value for key, value in tiny.items() if is_hq(key)}
    torch.save(tiny, tmp_path / "whole.pth")
    torch.save(dict(list(modules.items())[:-1]), tmp_path / "short.pth")
    torch.save({key: value for key, value in tiny.items() if "iou_token" not in key}, tmp_path / "part.pth")
    for base, added, said in (
        (sam, tmp_path / "whole.pth", "whole.pth: a complete HQ-SAM"),
        (sam, tmp_path / "short.pth", "short.pth: .*1 keys missing"),
        (tmp_path / "part.pth", hq, "part.pth: .*iou_token"),
        (hq, hq, "hq.safetensors: HQ modules without SAM weights"),
        (tmp_path / "vit_b.pth", hq, "hq.safetensors: HQ modules of vit_tiny.*vit_b"),
    ):
        with pytest.raises(HqsamError, match=said):
            merge_checkpoint(base, added)


def test_loading_does_not_import_the_compiler() -> None:
    code = "import sys; import hqsam_cli; hqsam_cli.load_model(); sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
