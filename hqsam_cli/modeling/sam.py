"""SAM and HQ-SAM as one module: encode images, then decode any number of prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..configs import MaskOutput
from .mask_decoder import MaskDecoder, MaskLogits
from .mask_quality import stability_score
from .prompt_encoder import PromptBatch, PromptEncoder

EMBED_DIM = 256
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)

MaskChoice = Literal["single", "best", "all"]
# Stability scores of SAM's mask below which `auto` omits SAM's logits, and above which it adds them in full.
UNSTABLE, STABLE = 0.8, 0.9
# Outputs made from both SAM's logits and those of the HQ token.
ADDED: frozenset[MaskOutput] = frozenset({"sum", "auto"})


def normalize(pixels: Tensor) -> Tensor:
    """Normalize pixels 0 to 255, (..., 3, H, W), with SAM's mean and standard deviation, to float32."""
    mean = torch.tensor(PIXEL_MEAN, device=pixels.device).view(3, 1, 1)
    return (pixels - mean).div_(torch.tensor(PIXEL_STD, device=pixels.device).view(3, 1, 1))


def auto_weight(sam: Tensor) -> Tensor:
    """Weight of SAM's logits (P, K, h, w) in `auto`, (P, K).

    It rises linearly from 0 to 1 between the stability scores `UNSTABLE` and `STABLE`.
    """
    return ((stability_score(sam) - UNSTABLE) / (STABLE - UNSTABLE)).clamp(0, 1)


def weighted_sum(sam: Tensor, hq: Tensor) -> Tensor:
    """The logits of `auto`: those of the HQ token, plus SAM's as far as SAM's mask is stable, (P, K, h, w)."""
    return auto_weight(sam)[..., None, None].to(sam.dtype) * sam + hq


class ImageFeatures(NamedTuple):
    """Encoder features of B images.

    Attributes:
        embedding: (B, 256, S / 16, S / 16).
        hq: (B, 32, S / 4, S / 4) fused features of HQ-SAM, or None without the HQ token.
        high_res: (B, 64, S / 8, S / 8) and (B, 32, S / 4, S / 4) of SAM 2, which its mask decoder adds; SAM has none.
    """

    embedding: Tensor
    hq: Tensor | None
    high_res: tuple[Tensor, ...] = ()

    def rows(self, first: int, last: int) -> ImageFeatures:
        """Features of images `first` to `last`, inclusive, as views."""
        own = slice(first, last + 1)
        hq = None if self.hq is None else self.hq[own]
        return ImageFeatures(self.embedding[own], hq, tuple(level[own] for level in self.high_res))

    @classmethod
    def cat(cls, parts: Sequence[ImageFeatures]) -> ImageFeatures:
        """Features of all images of `parts`."""
        hq = [part.hq for part in parts if part.hq is not None]
        levels = zip(*(part.high_res for part in parts), strict=True)
        embedding = torch.cat([part.embedding for part in parts])
        return cls(embedding, torch.cat(hq) if hq else None, tuple(map(torch.cat, levels)))


class HQSam(nn.Module):
    """Segment Anything, with or without the HQ modules.

    Args:
        image_encoder: maps (B, 3, S, S) to the embedding and the early features.
        interm_dim: channels of the early features; 0 for HQ modules that fuse none.
        image_size: input size S in pixels.
        has_hq: False for a plain SAM, whose only mask output is `sam`.
        has_iou_head: whether the HQ modules include a head that predicts the IoU of `sum` or `auto` masks.

    Attributes:
        mask_output: default of `Predictor`.
        single_tokens: mask tokens from which a single mask is chosen.
        square_input: whether images are resized to a square, and logits from there to the image, in one step each;
            otherwise the longest side is resized, and logits are upsampled to the input size first.
    """

    prompt_encoder_class: type[PromptEncoder] = PromptEncoder
    mask_decoder_class: type[MaskDecoder] = MaskDecoder
    single_tokens: tuple[int, ...] = (0,)
    square_input = False

    def __init__(
        self,
        image_encoder: nn.Module,
        interm_dim: int,
        *,
        image_size: int = 1024,
        has_hq: bool = True,
        has_iou_head: bool = False,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.interm_dim = interm_dim
        self.has_hq = has_hq
        self.mask_output: MaskOutput = "sum"
        self.image_encoder = image_encoder
        self.prompt_encoder = self.prompt_encoder_class(EMBED_DIM, image_size)
        self.mask_decoder = self.mask_decoder_class(EMBED_DIM, interm_dim, has_hq=has_hq, has_iou_head=has_iou_head)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.mask_decoder.iou_token.weight.device

    def encode(self, images: Tensor, *, hq: bool = True) -> ImageFeatures:
        """Encode normalized images (B, 3, S, S); `hq=False` skips the HQ features."""
        return self.fused(*self.image_encoder(images), hq=hq)

    def fused(self, *encoding: Tensor, hq: bool) -> ImageFeatures:
        """Compute features from the outputs of the image encoder; `hq=False` skips the HQ features."""
        embedding, interm_embeddings = encoding
        return ImageFeatures(embedding, self.mask_decoder.hq_features(embedding, interm_embeddings) if hq else None)

    def decode(
        self,
        features: ImageFeatures,
        prompts: PromptBatch,
        *,
        mask_tokens: Sequence[int] = (0,),
        is_wanted: Callable[[Tensor], Tensor] | None = None,
    ) -> MaskLogits:
        """Decode a flat batch of prompts to low-resolution logits; uses the HQ token if `features` has HQ features.

        Args:
            features: of B images, indexed by `prompts.image_index`.
            prompts: P prompts.
            mask_tokens: indices of SAM's four mask tokens; may be empty.
            is_wanted: see `MaskDecoder.forward`.
        """
        tokens, valid = self.prompt_encoder.sparse_tokens(prompts)
        embedding, index = features.embedding, prompts.image_index
        if prompts.masks is None:
            pixels = embedding + self.prompt_encoder.no_mask_map()
        else:
            pixels = embedding[index] + self.prompt_encoder.dense_embeddings(prompts)
        logits: MaskLogits = self.mask_decoder(
            pixels,
            self.prompt_encoder.pe_layer.grid(*embedding.shape[-2:]),
            features.hq,
            index,
            tokens,
            valid,
            pixels_per_image=prompts.masks is None,
            mask_tokens=mask_tokens,
            is_wanted=is_wanted,
            high_res=features.high_res,
        )
        return logits

    def predict(
        self,
        features: ImageFeatures,
        prompts: PromptBatch,
        outputs: Sequence[MaskOutput],
        *,
        choice: MaskChoice = "single",
        iou_threshold: float | None = None,
    ) -> dict[MaskOutput, tuple[Tensor, Tensor]]:
        """Predict mask logits and IoUs for each output.

        Args:
            features: with HQ features unless `sam` is the only output.
            outputs: `hq` the HQ token's logits, `sum` SAM's plus those, `auto` see `weighted_sum`, `sam` SAM's, decoded
                without the HQ token.
            choice: `single` mask token 0, or see `single_tokens`; `best` of tokens 1 to 3 by predicted IoU (the
                authors' multimask output); `all` three of them.
            iou_threshold: logits of prompts without a predicted IoU above it are 0 and not computed.

        Returns:
            Logits (P, K, S / 4, S / 4) and predicted IoUs (P, K); K is 3 for `all`, else 1. IoUs are SAM's predictions,
            except for `single` masks of `sum` and `auto` if the model has a head for their IoU.
        """
        head = self.mask_decoder.hf_iou_head if choice == "single" else None
        tokens = self.single_tokens if choice == "single" else (1, 2, 3)
        columns = slice(tokens[0], tokens[-1] + 1)
        needs_sam = not ADDED.isdisjoint(outputs) or (choice == "single" and len(tokens) > 1)
        found: dict[MaskOutput, tuple[Tensor, Tensor]] = {}
        for with_hq in sorted({output != "sam" for output in outputs}):
            sam, hq, sam_iou = self.decode(
                features if with_hq else features._replace(hq=None),
                prompts,
                mask_tokens=tokens if needs_sam or not with_hq else (),
                is_wanted=None if iou_threshold is None else lambda iou: iou[:, columns].amax(dim=1) > iou_threshold,
            )
            iou = sam_iou[:, columns]
            chosen = self.chosen(sam, iou, choice)
            if chosen is not None:
                iou = iou.gather(1, chosen)
                if sam.shape[1]:
                    sam = sam.gather(1, chosen[..., None, None].expand(-1, 1, *sam.shape[-2:]))
            if not with_hq:
                found["sam"] = sam, iou
                continue
            if hq is None:
                raise ValueError(f"the outputs {', '.join(outputs)} need HQ features")
            found["hq"] = hq.expand(-1, iou.shape[1], -1, -1), iou
            for output in ADDED.intersection(outputs):
                logits = weighted_sum(sam, hq) if output == "auto" else sam + hq
                found[output] = logits, iou
                if head is not None:
                    found[output] = logits, head(torch.cat([iou, sam_iou[:, 1:]], dim=1), sam, hq, logits)
        return {output: found[output] for output in outputs}

    def chosen(self, sam: Tensor, iou: Tensor, choice: MaskChoice) -> Tensor | None:
        """Index of the mask to keep, long (P, 1), of those with logits `sam` (P, K, h, w) and IoUs (P, K); None: all.

        `sam` has no masks if only the HQ token's are wanted and the choice does not depend on them.
        """
        return iou.argmax(dim=1, keepdim=True) if choice == "best" else None
