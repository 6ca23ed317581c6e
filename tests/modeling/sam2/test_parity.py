"""Equal random weights, equal logits and masks: our SAM 2.1 against the package `sam2` 1.1.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hqsam_cli import Predictor
from hqsam_cli.modeling.sam import MaskChoice
from hqsam_cli.modeling.uninitialized import Uninitialized
from hqsam_cli.records import Prompt
from hqsam_cli.weights.checkpoints import read_checkpoint
from hqsam_cli.weights.conversion import to_official_state
from hqsam_cli.weights.registry import build_model

from ..test_parity import TOLERANCE, close
from .conftest import SIDE, Pair, official_file, official_model

BOXES = np.array([[50.0, 40, 300, 250], [10, 5.5, 390, 60], [200, 100, 260.25, 180]])
POINTS = np.array([[100.0, 120, 1], [300.5, 200, 0], [210, 90, 1]])


def predict(pair: Pair, kind: str, choice: MaskChoice) -> tuple[np.ndarray, np.ndarray, Any]:
    """Logits and IoUs of ours for prompts of a kind, and the arguments for theirs."""
    box = BOXES if kind == "boxes" else BOXES[:1] if "box" in kind else None
    points = POINTS if "points" in kind else None
    boxes = [None] if box is None else map(tuple, box)
    prompts = [Prompt(n, box=own, points=points) for n, own in enumerate(boxes)]
    predictor = Predictor(pair.ours, mask_output="sam", choice=choice)
    encoded = predictor.encode([pair.image])
    ((_, found),) = predictor.logits(encoded, [(0, prompt) for prompt in prompts], ["sam"])
    logits, iou = found["sam"]
    given = {
        "box": box,
        "point_coords": None if points is None else points[:, :2],
        "point_labels": None if points is None else points[:, 2],
        "multimask_output": choice == "all",
    }
    return logits.numpy(), iou.numpy(), given


@torch.no_grad()
def test_image_features_equal_theirs(pair: Pair) -> None:
    features = Predictor(pair.ours, mask_output="sam").encode([pair.image]).features
    theirs = pair.predictor._features
    close(features.embedding, theirs["image_embed"])
    for own, level in zip(features.high_res, reversed(theirs["high_res_feats"]), strict=True):
        close(own, level)


@pytest.mark.parametrize("choice", ["single", "all"])
@pytest.mark.parametrize("kind", ["box", "boxes", "points", "points+box"])
def test_logits_of_every_prompt_equal_theirs(pair: Pair, kind: str, choice: MaskChoice) -> None:
    logits, iou, given = predict(pair, kind, choice)
    _, their_iou, low_res = pair.predictor.predict(**given, return_logits=True)
    close(torch.from_numpy(logits.reshape(low_res.shape)), torch.from_numpy(low_res))
    np.testing.assert_allclose(iou.reshape(their_iou.shape), their_iou, atol=TOLERANCE)


def test_mask_prompts_equal_theirs(pair: Pair) -> None:
    mask = np.zeros(pair.image.shape[:2], bool)
    mask[60:220, 80:330] = True
    rows = slice(round(60 * SIDE / 4 / 300), round(220 * SIDE / 4 / 300))
    low_res = np.zeros((1, SIDE // 4, SIDE // 4), np.float32)
    low_res[:, rows, round(80 * SIDE / 4 / 400) : round(330 * SIDE / 4 / 400)] = 255
    predictor = Predictor(pair.ours, mask_output="sam")
    encoded = predictor.encode([pair.image])
    # A mask alone has a box and other logits in a prompt of ours, but not in the model.
    alone = predictor.logits(encoded, [(0, Prompt(0))], ["sam"], mask_logits=torch.from_numpy(low_res)[None])
    boxed = predictor.logits(encoded, [(0, Prompt(1, mask=mask, box=tuple(BOXES[0])))], ["sam"])
    for made, box in ((alone, None), (boxed, BOXES[0])):
        ((_, found),) = made
        *_, theirs = pair.predictor.predict(box=box, mask_input=low_res, multimask_output=False, return_logits=True)
        close(found["sam"][0][0], torch.from_numpy(theirs))


@pytest.mark.parametrize("kind", ["boxes", "points"])
def test_masks_at_the_image_size_equal_theirs(pair: Pair, kind: str) -> None:
    _, _, given = predict(pair, kind, "single")
    theirs, *_ = pair.predictor.predict(**given, return_logits=True)
    theirs = theirs.reshape(-1, *pair.image.shape[:2])
    points = [POINTS] if kind == "points" else None
    ours = Predictor(pair.ours, mask_output="sam").predict(
        pair.image, boxes=BOXES if kind == "boxes" else None, points=points
    )
    clear = np.abs(theirs) > TOLERANCE * np.ptp(theirs)
    assert clear.mean() > 0.99
    assert np.array_equal(ours.mask & clear, (theirs > 0) & clear)


@torch.no_grad()
def test_a_stable_single_mask_is_kept(pair: Pair) -> None:
    """Unlike that of the random weights, which is replaced by the best of the other three."""
    decoders: list[Any] = [pair.theirs.sam_mask_decoder, pair.ours.mask_decoder]
    last = [decoder.output_hypernetworks_mlps[0].layers[-1] for decoder in decoders]
    unstable, _, given = predict(pair, "boxes", "single")
    three, iou, _ = predict(pair, "boxes", "all")
    best = iou.argmax(axis=1)
    np.testing.assert_allclose(unstable[:, 0], three[range(len(three)), best], atol=1e-5)
    for layer in last:
        for parameter in layer.parameters():
            parameter.mul_(1e4)
    try:
        stable, _, _ = predict(pair, "boxes", "single")
        _, _, low_res = pair.predictor.predict(**given, return_logits=True)
    finally:
        for layer in last:
            for parameter in layer.parameters():
                parameter.div_(1e4)
    assert np.abs(stable).max() > 100
    np.testing.assert_allclose(stable.clip(-32, 32), low_res, atol=64 * TOLERANCE)


@pytest.mark.parametrize(
    ("size", "parameters"), [("t", 31_486_032), ("s", 38_583_888), ("b+", 73_373_712), ("l", 216_970_176)]
)
def test_files_of_every_size_load_without_the_memory_modules(
    size: str, parameters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Uninitialized():
        theirs = official_model(size)
    state = theirs.state_dict()
    own = to_official_state(state)
    model = build_model(f"hiera_{size}", has_hq=False)
    assert {key: x.shape for key, x in own.items()} == {key: x.shape for key, x in model.state_dict().items()}
    trunk: Any = model.image_encoder.trunk
    for block, other in zip(trunk.blocks, theirs.image_encoder.trunk.blocks, strict=True):
        assert (block.window, block.attn.heads) == (other.window_size, other.attn.num_heads)
    left_out = sum(x.numel() for x in state.values()) - sum(x.numel() for x in own.values())
    assert sum(p.numel() for p in build_model(f"hiera_{size}").parameters()) == parameters
    assert left_out > 7_000_000


def test_an_official_file_is_recognized(pair: Pair, tmp_path: Path) -> None:
    found = read_checkpoint(official_file(tmp_path / "x.pt", pair.theirs.state_dict()))
    assert (found.kind, found.architecture, found.layout) == ("SAM", "hiera_t", "official")
    assert not any("memory" in key or key.startswith("sam_") for key in found.state)
