"""HQ-SAM 2 against a literal computation of its decoder, with the transformer of the package `sam2`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hqsam_cli import Predictor
from hqsam_cli.configs import MaskOutput
from hqsam_cli.inference.predictor import prepare_for_inference
from hqsam_cli.modeling.layers import MLP, LayerNorm2d
from hqsam_cli.modeling.mask_quality import IoUHead
from hqsam_cli.modeling.sam import HQSam, weighted_sum
from hqsam_cli.records import Prompt
from hqsam_cli.weights.checkpoints import load_checkpoint, read_checkpoint

from ..test_parity import TOLERANCE, close
from .conftest import Pair, official_file

BOX = (50.0, 40.0, 300.0, 250.0)


@pytest.fixture(scope="module")
def hq_part() -> nn.ModuleDict:
    """The HQ modules with random weights, named as in the official file."""
    torch.manual_seed(1)
    convolutions = (nn.Conv2d(32, 64, 3, padding=1), LayerNorm2d(64), nn.GELU(), nn.Conv2d(64, 32, 3, padding=1))
    return nn.ModuleDict(
        {
            "hf_token": nn.Embedding(1, 256),
            "hf_mlp": MLP(256, 256, 32, 3),
            "embedding_maskfeature": nn.Sequential(*convolutions),
        }
    ).requires_grad_(False)


@pytest.fixture(scope="module")
def path(pair: Pair, hq_part: nn.ModuleDict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of HQ-SAM 2."""
    own = {f"sam_mask_decoder.{key}": value for key, value in hq_part.state_dict().items()}
    return official_file(tmp_path_factory.mktemp("hq") / "hq.pt", pair.theirs.state_dict() | own)


@torch.no_grad()
def literal(pair: Pair, hq_part: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of SAM's four masks (4, h, w), of the HQ token (h, w), and IoUs (4,), of a box and its padding point."""
    sam2, decoder = pair.theirs, pair.theirs.sam_mask_decoder
    height, width = pair.image.shape[:2]
    corners = torch.tensor(BOX).view(1, 2, 2) / torch.tensor([width, height]) * sam2.image_size
    prompt, no_mask = sam2.sam_prompt_encoder(points=(corners, torch.tensor([[2, 3]])), boxes=None, masks=None)
    assert prompt.shape[1] == 3
    output = torch.cat([
        decoder.obj_score_token.weight, decoder.iou_token.weight, decoder.mask_tokens.weight, hq_part.hf_token.weight
    ])  # fmt: skip
    pixels = pair.predictor._features["image_embed"] + no_mask
    tokens, pixels_out = decoder.transformer(
        pixels, sam2.sam_prompt_encoder.get_dense_pe(), torch.cat([output[None], prompt], dim=1)
    )
    dc1, ln, act, dc2, _ = decoder.output_upscaling
    at_4, at_8 = pair.predictor._features["high_res_feats"]
    up = act(ln(dc1(pixels_out.transpose(1, 2).view_as(pixels)) + at_8))
    up = act(dc2(up) + at_4)
    weights = torch.stack([mlp(tokens[0, 2 + n]) for n, mlp in enumerate(decoder.output_hypernetworks_mlps)])
    sam = torch.einsum("kc,chw->khw", weights, up[0])
    hq = torch.einsum("c,chw->hw", hq_part.hf_mlp(tokens[0, 6]), hq_part.embedding_maskfeature(up)[0])
    return sam, hq, decoder.iou_prediction_head(tokens[0, 1])


def predicted(model: HQSam, image: np.ndarray, output: MaskOutput, choice: Any = "single") -> tuple[Tensor, Tensor]:
    """Logits (K, h, w) and IoUs (K,) for the box."""
    predictor = Predictor(model, mask_output=output, choice=choice)
    ((_, found),) = predictor.logits(predictor.encode([image]), [(0, Prompt(box=BOX))], [output])
    logits, iou = found[output]
    return logits[0], iou[0]


def test_the_sum_the_hq_mask_and_three_masks(pair: Pair, hq_part: nn.ModuleDict, path: Path) -> None:
    sam, hq, iou = literal(pair, hq_part)
    # Unstable with random weights, so the best of the other three.
    assert float((sam[0] > 0.05).sum() / (sam[0] > -0.05).sum()) < 0.98
    best = 1 + int(iou[1:].argmax())
    model = load_checkpoint(path)
    assert model.mask_output == "sum" and model.has_hq
    wanted = {"sum": sam[best] + hq, "hq": hq, "auto": weighted_sum(sam[None, best, None], hq[None, None])[0, 0]}
    for output, logits in wanted.items():
        ours, own_iou = predicted(model, pair.image, output)  # type: ignore[arg-type]
        close(ours[0], logits)
        assert float(own_iou[0]) == pytest.approx(float(iou[best]), abs=TOLERANCE)
    model.mask_decoder.hf_iou_head = IoUHead()  # untrained, it predicts what SAM does for the mask that is chosen
    assert float(predicted(model, pair.image, "sum")[1][0]) == pytest.approx(float(iou[best]), abs=TOLERANCE)
    three, three_iou = predicted(model, pair.image, "sum", "all")
    close(three, sam[1:] + hq)
    torch.testing.assert_close(three_iou, iou[1:], atol=TOLERANCE, rtol=0)


def test_without_the_token_its_masks_are_those_of_sam(pair: Pair, path: Path) -> None:
    *_, low_res = pair.predictor.predict(box=np.array(BOX), multimask_output=False, return_logits=True)
    close(predicted(load_checkpoint(path), pair.image, "sam")[0], torch.from_numpy(low_res))


def test_a_prepared_model_has_the_same_logits_and_bfloat16_nearly(pair: Pair, path: Path) -> None:
    plain, _ = predicted(load_checkpoint(path), pair.image, "sum")
    close(predicted(prepare_for_inference(load_checkpoint(path), "cpu"), pair.image, "sum")[0], plain)
    half = prepare_for_inference(load_checkpoint(path), "cpu", torch.bfloat16)
    predictor = Predictor(half, dtype=torch.bfloat16)
    ((_, found),) = predictor.logits(predictor.encode([pair.image]), [(0, Prompt(box=BOX))], ["sum"])
    assert float((found["sum"][0][0] - plain).abs().max()) < 0.1 * float(plain.max() - plain.min())


def test_the_hq_modules_have_the_published_size(path: Path) -> None:
    found = read_checkpoint(path)
    assert (found.kind, found.architecture, found.parameters[1]) == ("HQ-SAM", "hiera_t", 177_152)
