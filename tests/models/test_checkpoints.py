"""Checkpoints in the official format, written here, and everything that is none."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.models.checkpoints import checkpoint_path, inferred_architecture, load_model
from hqsam_cli.models.zoo import build_model


@pytest.fixture(scope="module")
def tiny() -> dict[str, Tensor]:
    """State of a random `vit_tiny` HQ-SAM."""
    torch.manual_seed(0)
    return build_model("vit_tiny").state_dict()


def same(path: Path, state: dict[str, Tensor]) -> bool:
    loaded = load_model(path).state_dict()
    return loaded.keys() == state.keys() and all(torch.equal(loaded[key], state[key]) for key in state)


def test_torch_and_safetensors_files_load_whatever_their_name(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    torch.save(tiny, tmp_path / "sam_hq_vit_h.pth")
    torch.save({"model": tiny, "epoch": 3}, tmp_path / "wrapped.pt")
    save_file({key: value.contiguous() for key, value in tiny.items()}, tmp_path / "any.safetensors")
    for name in ("sam_hq_vit_h.pth", "wrapped.pt", "any.safetensors"):
        assert same(tmp_path / name, tiny)


def test_half_precision_files_become_float32(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    half = {key: value.half() if value.is_floating_point() else value for key, value in tiny.items()}
    torch.save(half, tmp_path / "half.pth")
    loaded = load_model(tmp_path / "half.pth").state_dict()
    assert {value.dtype for value in loaded.values() if value.is_floating_point()} == {torch.float32}


def test_a_plain_sam_file_is_a_model_without_hq(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    plain = build_model("vit_tiny", has_hq=False).state_dict().keys()
    torch.save({key: tiny[key] for key in plain}, tmp_path / "mobile_sam.pt")
    assert not load_model(tmp_path / "mobile_sam.pt").has_hq


@pytest.mark.parametrize("name", ["vit_tiny", "vit_b", "vit_l", "vit_h", "lite"])
@pytest.mark.parametrize("has_hq", [True, False])
def test_the_architecture_follows_from_the_shapes(name: str, has_hq: bool) -> None:
    with torch.device("meta"):
        assert inferred_architecture(build_model(name, has_hq=has_hq).state_dict()) == name


def test_a_file_that_does_not_fit_names_model_and_keys(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
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


def test_what_is_no_checkpoint_is_named(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    torch.save(tiny, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pth").write_text("<html>404</html>")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    for name in ("cut.pth", "text.pth", "empty.pth", "cut.safetensors", "list.pth", "other.pth", "gone.pth"):
        with pytest.raises(HqsamError) as caught:
            load_model(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_names_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkpoint_path("lite").is_file()
    with pytest.raises(UsageError, match="vit_tiny"):
        checkpoint_path("vit_giant")


def test_offline_says_which_file_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(HqsamError, match=r"sam_hq_vit_l\.pth.*--model"):
        checkpoint_path("vit_l")
