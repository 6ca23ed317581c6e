"""SAM 2.1 and HQ-SAM 2 for images, as a variant of `HQSam`: what differs from SAM is here.

HQ-SAM 2 adds a token, its MLP and two convolutions of the mask features; it fuses no early features of the encoder.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..layers import MLP
from ..mask_decoder import MASK_TOKENS, MaskDecoder
from ..mask_quality import stability_score
from ..prompt_encoder import ABSENT, BOX_TOP_LEFT, PADDING_POINT, PromptBatch, PromptEncoder
from ..sam import HQSam, ImageFeatures, MaskChoice
from ..transformer import per_prompt

STABLE, OFFSET = 0.98, 0.05  # a single mask below this stability score, with logits this far from 0, is replaced


class Sam2PromptEncoder(PromptEncoder):
    """SAM's prompt encoder with a padding point after every prompt of points or a box; SAM has none after boxes."""

    def sparse_tokens(self, prompts: PromptBatch) -> tuple[Tensor, Tensor | None]:
        """See `PromptEncoder`."""
        points, labels = prompts.points, prompts.labels
        if not labels.shape[1]:  # masks only
            return super().sparse_tokens(prompts)
        has_box = (labels == BOX_TOP_LEFT).any(dim=1, keepdim=True)
        padding = torch.where(has_box, PADDING_POINT, ABSENT).to(labels.dtype)
        points = functional.pad(points, (0, 0, 0, 1))
        padded = replace(prompts, points=points, labels=torch.cat([labels, padding], dim=1), ragged=True)
        return super().sparse_tokens(padded)


class SigmoidMLP(MLP):
    """MLP whose outputs are from 0 to 1."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., width_in) to (..., width_out)."""
        return super().forward(x).sigmoid()


class Sam2MaskDecoder(MaskDecoder):
    """SAM's mask decoder with high-resolution features, a token for the presence of the object, and IoUs from 0 to 1.

    The official order of tokens, in which that of the object is the first, has the same result: attention does not
    depend on the order.
    """

    def __init__(self, embed_dim: int, interm_dim: int, *, has_hq: bool = True, has_iou_head: bool = False) -> None:
        super().__init__(embed_dim, interm_dim, has_hq=has_hq, has_iou_head=has_iou_head)
        self.obj_score_token = nn.Embedding(1, embed_dim)
        self.iou_prediction_head = SigmoidMLP(embed_dim, 256, MASK_TOKENS, 3)

    def _more_tokens(self) -> list[Tensor]:
        return [self.obj_score_token.weight]

    def _upscaled(self, pixels: Tensor, high_res: tuple[Tensor, ...], image_index: Tensor) -> Tensor:
        first, norm, gelu, second, last_gelu = self.output_upscaling
        at_8, at_4 = (per_prompt(features, image_index) for features in high_res)
        upscaled: Tensor = last_gelu(second(gelu(norm(first(pixels) + at_8))) + at_4)
        return upscaled


class HQSam2(HQSam):
    """SAM 2.1 for images, with or without the HQ modules of HQ-SAM 2; see `HQSam`.

    Args:
        image_encoder: maps (B, 3, S, S) to the embedding and the high-resolution features.
    """

    prompt_encoder_class = Sam2PromptEncoder
    mask_decoder_class = Sam2MaskDecoder
    single_tokens = (0, 1, 2, 3)
    square_input = True

    def fused(self, *encoding: Tensor, hq: bool) -> ImageFeatures:
        """See `HQSam`; there are no HQ features of images, zeros stand for them."""
        embedding, *high_res = encoding
        zeros = embedding.new_zeros(embedding.shape[0], embedding.shape[1] // 8, 1, 1)
        zeros = zeros.expand(-1, -1, *(4 * side for side in embedding.shape[-2:]))
        return ImageFeatures(embedding, zeros if hq else None, tuple(high_res))

    def chosen(self, sam: Tensor, iou: Tensor, choice: MaskChoice) -> Tensor | None:
        """See `HQSam`; an unstable single mask is replaced by the best of the other three."""
        if choice != "single":
            return super().chosen(sam, iou, choice)
        single = sam[:, :1]
        is_stable = stability_score(single, OFFSET) >= STABLE
        is_empty = single.amax(dim=(-2, -1)) <= -OFFSET
        return torch.where(is_stable | is_empty, 0, 1 + iou[:, 1:].argmax(dim=1, keepdim=True))
