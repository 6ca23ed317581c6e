"""SAM's mask decoder with HQ-SAM's output token and global-local fusion (HQ-SAM, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .layers import MLP, LayerNorm2d
from .transformer import TwoWayTransformer, flat_pixels, per_prompt

MASK_TOKENS = 4  # 0 is the single mask, 1 to 3 are whole, part and subpart


class MaskLogits(NamedTuple):
    """What the decoder says of P prompts.

    Attributes:
        sam: (P, K, S / 4, S / 4) logits of the K mask tokens asked for.
        hq: (P, 1, S / 4, S / 4) logits of the HQ token, or None where it took no part.
        iou: (P, 4) SAM's estimate of the IoU of each of its masks; there is none for the HQ mask.
    """

    sam: Tensor
    hq: Tensor | None
    iou: Tensor


class MaskDecoder(nn.Module):
    """Masks from an image embedding and prompt tokens.

    Args:
        embed_dim: channels C of the image embedding.
        interm_dim: channels of the early encoder features.
        has_hq: whether the five HQ modules are there; without them this is SAM's decoder.
    """

    def __init__(self, embed_dim: int, interm_dim: int, *, has_hq: bool = True) -> None:
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
        self.has_hq = has_hq
        if has_hq:
            self.hf_token = nn.Embedding(1, embed_dim)
            self.hf_mlp = MLP(embed_dim, embed_dim, width, 3)
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
        """Global-local features of images, the same for all their prompts.

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
    ) -> MaskLogits:
        """Logits of P prompts of B images.

        Args:
            pixels: embedding plus dense prompt embedding: (B, C, H, W) one row an image where
                `pixels_per_image`, else (P, C, H, W).
            pixel_pe: (1, C, H, W) positions.
            hq_features: (B, C / 8, 4H, 4W) from `hq_features`, or None to leave the HQ token out, which is
                plain SAM: the token's presence shifts SAM's own masks.
            image_index: long (P,).
            tokens: (P, T, C) prompt tokens.
            valid: bool (P, T), or None where all tokens are there.
            mask_tokens: which of SAM's four masks to make.
            is_wanted: tells from `iou` which prompts' masks will be looked at, bool (P,); the logits of the others are
                not computed, and are 0. None computes all.
        """
        height, width = pixels.shape[-2:]
        outputs = [self.iou_token.weight, self.mask_tokens.weight]
        if hq_features is not None:
            outputs.append(self.hf_token.weight)
        own = torch.cat(outputs).to(tokens.dtype).expand(tokens.shape[0], -1, -1)
        if valid is not None:
            valid = torch.cat([valid.new_ones(own.shape[:2]), valid], dim=1)
        hidden, pixels = self.transformer(
            torch.cat([own, tokens], dim=1),
            flat_pixels(pixels),
            flat_pixels(pixel_pe),
            image_index if pixels_per_image else None,
            valid,
        )
        iou = self.iou_prediction_head(hidden[:, 0])
        if is_wanted is None:
            return MaskLogits(
                *self._logits(hidden, pixels, (height, width), hq_features, image_index, mask_tokens), iou
            )
        rows = is_wanted(iou).nonzero().flatten()
        sam, hq = self._logits(hidden[rows], pixels[rows], (height, width), hq_features, image_index[rows], mask_tokens)

        def spread(few: Tensor) -> Tensor:
            return few.new_zeros(len(iou), *few.shape[1:]).index_copy(0, rows, few)

        return MaskLogits(spread(sam), None if hq is None else spread(hq), iou)

    def _logits(
        self,
        hidden: Tensor,
        pixels: Tensor,
        size: tuple[int, int],
        hq_features: Tensor | None,
        image_index: Tensor,
        mask_tokens: Sequence[int],
    ) -> tuple[Tensor, Tensor | None]:
        """`sam` and `hq` of `MaskLogits`, of tokens (P, T, C) and pixels (P, H * W, C) after the transformer."""
        upscaled = self.output_upscaling(pixels.transpose(1, 2).unflatten(2, size))
        sam = upscaled.new_empty(upscaled.shape[0], 0, *upscaled.shape[-2:])
        if mask_tokens:
            weights = torch.stack([self.output_hypernetworks_mlps[i](hidden[:, 1 + i]) for i in mask_tokens], dim=1)
            sam = products(upscaled, weights)
        hq = None
        if hq_features is not None:
            hq = self._hq_logits(self._hq_weights(hidden), upscaled, hq_features, image_index)
        return sam, hq

    def _hq_weights(self, hidden: Tensor) -> Tensor:
        """The HQ mask's weights of the features, (P, C / 8), from the tokens after the transformer (P, 6 + T, C)."""
        out: Tensor = self.hf_mlp(hidden[:, 1 + MASK_TOKENS])
        return out

    def _hq_logits(self, token: Tensor, upscaled: Tensor, hq_features: Tensor, image_index: Tensor) -> Tensor:
        """token · (embedding_maskfeature(upscaled) + hq_features), with the token contracted first.

        The last convolution of `embedding_maskfeature` is linear, so the token's C / 8 numbers go into its
        weight and one output channel is left: nine matrix products a prompt and as many shifted additions.
        """
        first, norm, gelu, last = self.embedding_maskfeature
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        weights = torch.einsum("po,oikl->pkli", token, last.weight).flatten(1, 2)
        taps = products(gelu(norm(first(upscaled))), weights)
        height, width = taps.shape[-2:]
        taps = nn.functional.pad(taps, (1, 1, 1, 1))
        constant = (token @ last.bias).view(-1, 1, 1, 1)
        logits = products(per_prompt(hq_features, image_index), token.unsqueeze(1)) + constant
        for tap in range(9):
            row, column = divmod(tap, 3)
            logits = logits + taps[:, tap : tap + 1, row : row + height, column : column + width]
        return logits


def products(features: Tensor, weights: Tensor) -> Tensor:
    """Inner products of the pixels of feature maps (P, C, H, W) with K vectors each, (P, K, C): (P, K, H, W).

    Pixels are the rows of the matrix product, so channels-last features are read as they lie in memory, and their
    gradient comes back in the same layout.
    """
    rows = features.permute(0, 2, 3, 1).flatten(1, 2)
    out: Tensor = (rows @ weights.transpose(1, 2)).transpose(1, 2).unflatten(2, features.shape[-2:])
    return out
