"""The optimized decoder against its plain form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hqsam_cli.modeling.mask_decoder import MaskDecoder
from hqsam_cli.modeling.transformer import flat_pixels

IMAGES, PROMPTS, SIDE = 3, 7, 8


@pytest.fixture
def decoder() -> MaskDecoder:
    torch.manual_seed(0)
    decoder = MaskDecoder(256, 160).eval()
    for parameter in decoder.parameters():
        if parameter.ndim == 1:  # norms and biases at their initial 1 and 0 would hide mistakes
            torch.nn.init.normal_(parameter, std=0.3)
    return decoder


@pytest.fixture
def inputs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "pixels": torch.randn(IMAGES, 256, SIDE, SIDE, generator=generator),
        "pixel_pe": torch.randn(1, 256, SIDE, SIDE, generator=generator),
        "hq_features": torch.randn(IMAGES, 32, 4 * SIDE, 4 * SIDE, generator=generator),
        "image_index": torch.tensor([0, 0, 0, 1, 1, 2, 2]),
        "tokens": torch.randn(PROMPTS, 3, 256, generator=generator),
    }


def plain_logits(decoder: MaskDecoder, inputs: dict[str, Tensor], *, hq: bool) -> tuple[Tensor, Tensor | None]:
    """All four SAM masks and the HQ mask, computed per prompt without contractions."""
    index = inputs["image_index"]
    own = [decoder.iou_token.weight, decoder.mask_tokens.weight] + ([decoder.hf_token.weight] if hq else [])
    tokens = torch.cat([torch.cat(own).expand(PROMPTS, -1, -1), inputs["tokens"]], dim=1)
    hidden, pixels = decoder.transformer(tokens, flat_pixels(inputs["pixels"][index]), flat_pixels(inputs["pixel_pe"]))
    up = decoder.output_upscaling(pixels.transpose(1, 2).reshape(PROMPTS, 256, SIDE, SIDE))
    weights = torch.stack([mlp(hidden[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=1)
    sam = torch.einsum("pkc,pchw->pkhw", weights, up)
    if not hq:
        return sam, None
    features = decoder.embedding_maskfeature(up) + inputs["hq_features"][index]
    return sam, torch.einsum("pc,pchw->phw", decoder.hf_mlp(hidden[:, 5]), features)[:, None]


@pytest.mark.parametrize("hq", [True, False])
@torch.no_grad()
def test_shared_and_contracted_equals_plain(decoder: MaskDecoder, inputs: dict[str, Tensor], hq: bool) -> None:
    sam, hq_logits = plain_logits(decoder, inputs, hq=hq)
    if not hq:
        inputs["hq_features"] = None  # type: ignore[assignment]
    made = decoder(**inputs, valid=None, pixels_per_image=True, mask_tokens=(0, 2))
    torch.testing.assert_close(made.sam, sam[:, [0, 2]], rtol=1e-4, atol=1e-4)
    if hq_logits is None:
        assert made.hq is None
    else:
        torch.testing.assert_close(made.hq, hq_logits, rtol=1e-4, atol=1e-5 * float(hq_logits.abs().max()))


@torch.no_grad()
def test_hq_logits_are_those_of_the_given_features_and_background_beyond(
    decoder: MaskDecoder, inputs: dict[str, Tensor]
) -> None:
    whole = decoder(**inputs, valid=None, pixels_per_image=True, mask_tokens=(0,))
    height, width = 2 * SIDE, 3 * SIDE + 1
    part = dict(inputs, hq_features=inputs["hq_features"][..., :height, :width])
    made = decoder(**part, valid=None, pixels_per_image=True, mask_tokens=(0,))
    torch.testing.assert_close(made.hq[..., :height, :width], whole.hq[..., :height, :width], rtol=1e-4, atol=1e-4)
    assert (made.hq[..., height:, :] < -30).all() and (made.hq[..., width:] < -30).all()
    assert torch.equal(made.sam, whole.sam)


@torch.no_grad()
def test_padding_tokens_are_ignored(decoder: MaskDecoder, inputs: dict[str, Tensor]) -> None:
    plain = decoder(**inputs, valid=None, pixels_per_image=True, mask_tokens=(0,))
    padded = dict(inputs, tokens=torch.cat([inputs["tokens"], torch.full((PROMPTS, 4, 256), 9.0)], dim=1))
    valid = torch.arange(7).expand(PROMPTS, -1) < 3
    ragged = decoder(**padded, valid=valid, pixels_per_image=True, mask_tokens=(0,))
    torch.testing.assert_close(ragged.hq, plain.hq, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ragged.iou, plain.iou, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wanted", [[1, 4, 6], []])
@torch.no_grad()
def test_unwanted_masks_are_not_computed(decoder: MaskDecoder, inputs: dict[str, Tensor], wanted: list[int]) -> None:
    def is_wanted(iou: Tensor) -> Tensor:
        assert iou.shape == (PROMPTS, 4)
        return torch.isin(torch.arange(PROMPTS), torch.tensor(wanted, dtype=torch.long))

    options = {"valid": None, "pixels_per_image": True, "mask_tokens": (1, 3)}
    whole, some = decoder(**inputs, **options), decoder(**inputs, **options, is_wanted=is_wanted)
    assert torch.equal(some.iou, whole.iou)
    for all_logits, logits in ((whole.sam, some.sam), (whole.hq, some.hq)):
        assert logits.shape == all_logits.shape
        torch.testing.assert_close(logits[wanted], all_logits[wanted], rtol=1e-5, atol=1e-5)
        assert logits.any(dim=-1).any(dim=-1).any(dim=-1).nonzero().flatten().tolist() == wanted
