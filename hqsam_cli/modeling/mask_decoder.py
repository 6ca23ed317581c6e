"""SAM's mask decoder with HQ-SAM's output token and global-local fusion (HQ-SAM, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .layers import MLP, LayerNorm2d
from .mask_quality import IoUHead
from .transformer import TwoWayTransformer, flat_pixels, per_prompt

BACKGROUND = -32.0  # logit of pixels outside of the image
MASK_TOKENS = 4  # 0 for single-mask output, 1 to 3 for whole, part and subpart
HQ_TOKEN = 1 + MASK_TOKENS  # its place among the output tokens, after that of the IoU


class MaskLogits(NamedTuple):
    """Outputs of the decoder for P prompts.

    Attributes:
        sam: (P, K, S / 4, S / 4) logits of K mask tokens.
        hq: (P, 1, S / 4, S / 4) logits of the HQ token, or None without it.
        iou: (P, 4) predicted IoU of each of SAM's masks; the HQ mask has none.
    """

    sam: Tensor
    hq: Tensor | None
    iou: Tensor


class MaskDecoder(nn.Module):
    """Predicts masks from an image embedding and prompt tokens.

    Args:
        embed_dim: channels C of the image embedding.
        interm_dim: channels of the early encoder features; 0 for HQ modules without features of the image.
        has_hq: whether to add the HQ modules; without them this is SAM's decoder.
        has_iou_head: whether to add `hf_iou_head`, which `HQSam.predict` applies to masks; HQ-SAM has none.
    """

    def __init__(self, embed_dim: int, interm_dim: int, *, has_hq: bool = True, has_iou_head: bool = False) -> None:
        super().__init__()
        width = embed_dim // 8
        self.transformer = TwoWayTransformer(embed_dim)
        self.iou_token = nn.Embedding(1, embed_dim)
        self.mask_tokens = nn.Embedding(MASK_TOKENS, embed_dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(embed_dim, embed_dim // 4, 2, stride=2),
            LayerNorm2d(embed_dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(embed_dim // 4, width, 2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(MLP(embed_dim, embed_dim, width, 3) for _ in range(MASK_TOKENS))
        self.iou_prediction_head = MLP(embed_dim, 256, MASK_TOKENS, 3)
        self.hf_iou_head = IoUHead() if has_iou_head else None
        self.has_hq = has_hq
        if has_hq:
            self.hf_token = nn.Embedding(1, embed_dim)
            self.hf_mlp = MLP(embed_dim, embed_dim, width, 3)
            if interm_dim:
                self.compress_vit_feat = nn.Sequential(
                    nn.ConvTranspose2d(interm_dim, embed_dim, 2, stride=2),
                    LayerNorm2d(embed_dim),
                    nn.GELU(),
                    nn.ConvTranspose2d(embed_dim, width, 2, stride=2),
                )
                self.embedding_encoder = nn.Sequential(
                    nn.ConvTranspose2d(embed_dim, embed_dim // 4, 2, stride=2),
                    LayerNorm2d(embed_dim // 4),
                    nn.GELU(),
                    nn.ConvTranspose2d(embed_dim // 4, width, 2, stride=2),
                )
            self.embedding_maskfeature = nn.Sequential(
                nn.Conv2d(width, embed_dim // 4, 3, padding=1),
                LayerNorm2d(embed_dim // 4),
                nn.GELU(),
                nn.Conv2d(embed_dim // 4, width, 3, padding=1),
            )

    def hq_features(self, embedding: Tensor, interm_embeddings: Tensor) -> Tensor:
        """Global-local features of images, shared by all their prompts.

        Args:
            embedding: (B, C, S / 16, S / 16) final features.
            interm_embeddings: (B, interm_dim, S / 16, S / 16) early features.

        Returns:
            (B, C / 8, S / 4, S / 4).
        """
        out: Tensor = self.embedding_encoder(embedding) + self.compress_vit_feat(interm_embeddings)
        return out

    def forward(
        self,
        pixels: Tensor,
        pixel_pe: Tensor,
        hq_features: Tensor | None,
        image_index: Tensor,
        tokens: Tensor,
        valid: Tensor | None,
        *,
        pixels_per_image: bool,
        mask_tokens: Sequence[int],
        is_wanted: Callable[[Tensor], Tensor] | None = None,
        high_res: tuple[Tensor, ...] = (),
        use_hq: Tensor | None = None,
    ) -> MaskLogits:
        """Compute logits for P prompts of B images.

        Args:
            pixels: embedding plus dense prompt embedding, (B, C, H, W) if `pixels_per_image`, else (P, C, H, W).
            pixel_pe: (1, C, H, W) positional encoding.
            hq_features: (B, C / 8, 4H, 4W) from `hq_features`, or None for plain SAM, without the HQ token, whose
                presence changes SAM's own masks.
            image_index: long (P,).
            tokens: (P, T, C) prompt tokens.
            valid: bool (P, T), False for padding tokens; None without padding.
            mask_tokens: indices of SAM's four mask tokens.
            is_wanted: maps `iou` to bool (P,), the prompts to compute logits for; others are 0. None for all.
            high_res: of the images, see `ImageFeatures`.
            use_hq: bool (), False to mask out the HQ token as if it were absent; needs `valid`. An exported graph
                cannot omit it.
        """
        height, width = pixels.shape[-2:]
        outputs = [self.iou_token.weight, self.mask_tokens.weight]
        if hq_features is not None:
            outputs.append(self.hf_token.weight)
        own = torch.cat(outputs + self._more_tokens()).to(tokens.dtype).expand(tokens.shape[0], -1, -1)
        if valid is not None:
            seen = valid.new_ones(own.shape[:2])
            if use_hq is not None:
                seen = seen & (use_hq | (torch.arange(own.shape[1], device=seen.device) != HQ_TOKEN))
            valid = torch.cat([seen, valid], dim=1)
        hidden, pixels = self.transformer(
            torch.cat([own, tokens], dim=1),
            flat_pixels(pixels),
            flat_pixels(pixel_pe),
            image_index if pixels_per_image else None,
            valid,
            outputs=own.shape[1],
        )
        iou = self.iou_prediction_head(hidden[:, 0])
        if is_wanted is None:
            sam, hq = self._logits(hidden, pixels, (height, width), hq_features, high_res, image_index, mask_tokens)
            return MaskLogits(sam, hq, iou)
        rows = is_wanted(iou).nonzero().flatten()
        wanted = hidden[rows], pixels[rows]
        sam, hq = self._logits(*wanted, (height, width), hq_features, high_res, image_index[rows], mask_tokens)

        def spread(few: Tensor) -> Tensor:
            return few.new_zeros(len(iou), *few.shape[1:]).index_copy(0, rows, few)

        return MaskLogits(spread(sam), None if hq is None else spread(hq), iou)

    def _logits(
        self,
        hidden: Tensor,
        pixels: Tensor,
        size: tuple[int, int],
        hq_features: Tensor | None,
        high_res: tuple[Tensor, ...],
        image_index: Tensor,
        mask_tokens: Sequence[int],
    ) -> tuple[Tensor, Tensor | None]:
        """`sam` and `hq` of `MaskLogits` from the transformer's tokens (P, T, C) and pixels (P, H * W, C)."""
        upscaled = self._upscaled(pixels.transpose(1, 2).unflatten(2, size), high_res, image_index)
        sam = upscaled.new_empty(upscaled.shape[0], 0, *upscaled.shape[-2:])
        if mask_tokens:
            weights = torch.stack([self.output_hypernetworks_mlps[i](hidden[:, 1 + i]) for i in mask_tokens], dim=1)
            sam = products(upscaled, weights)
        if hq_features is None:
            return sam, None
        return sam, self._hq_logits(self._hq_weights(hidden), upscaled, hq_features, image_index)

    def _more_tokens(self) -> list[Tensor]:
        """Output tokens (1, C) after those of SAM and HQ-SAM."""
        return []

    def _upscaled(self, pixels: Tensor, high_res: tuple[Tensor, ...], image_index: Tensor) -> Tensor:
        """Mask features (P, C / 8, 4H, 4W) from the transformer's pixels (P, C, H, W)."""
        upscaled: Tensor = self.output_upscaling(pixels)
        return upscaled

    def _hq_weights(self, hidden: Tensor) -> Tensor:
        """Output of the HQ token's MLP, (P, C / 8), from the transformer's tokens (P, 6 + T, C)."""
        out: Tensor = self.hf_mlp(hidden[:, HQ_TOKEN])
        return out

    def _hq_logits(self, token: Tensor, upscaled: Tensor, hq_features: Tensor, image_index: Tensor) -> Tensor:
        """token · (embedding_maskfeature(upscaled) + hq_features), contracted with the token first.

        The last convolution of `embedding_maskfeature` is linear, so its weight is multiplied with the token and one
        output channel remains: nine matrix products and nine shifted additions per prompt.

        Logits are those of `hq_features`, and background right of these and below, where an image is padded.
        """
        first, norm, gelu, last = self.embedding_maskfeature
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        weights = torch.einsum("po,oikl->pkli", token, last.weight).flatten(1, 2)
        height, width = hq_features.shape[-2:]
        right, below = upscaled.shape[-1] - width, upscaled.shape[-2] - height
        # Two convolutions reach two pixels beyond.
        taps = products(gelu(norm(first(upscaled[..., : height + 2, : width + 2]))), weights)
        taps = nn.functional.pad(taps.contiguous(), (1, 1, 1, 1))  # the sums are twice as fast in contiguous memory
        constant = (token @ last.bias).view(-1, 1, 1, 1)
        if hq_features.shape[0] == 1:
            logits = products(hq_features, token.unsqueeze(0)).transpose(0, 1).contiguous() + constant
        else:
            logits = products(per_prompt(hq_features, image_index), token.unsqueeze(1)) + constant
        for tap in range(9):
            row, column = divmod(tap, 3)
            logits = logits + taps[:, tap : tap + 1, row : row + height, column : column + width]
        return nn.functional.pad(logits, (0, right, 0, below), value=BACKGROUND) if right or below else logits


def products(features: Tensor, weights: Tensor) -> Tensor:
    """Dot products of feature maps (P, C, H, W) with K vectors (P, K, C): (P, K, H, W).

    Pixels are the rows of the matrix product, so channels-last features and their gradients are not copied.
    """
    rows = features.permute(0, 2, 3, 1).flatten(1, 2)
    out: Tensor = (rows @ weights.transpose(1, 2)).transpose(1, 2).unflatten(2, features.shape[-2:])
    return out
