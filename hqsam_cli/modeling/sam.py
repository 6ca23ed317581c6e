"""SAM and HQ-SAM as one module: encode images once, then decode any number of prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..configs import MaskOutput
from .mask_decoder import MaskDecoder, MaskLogits
from .prompt_encoder import PromptBatch, PromptEncoder

EMBED_DIM = 256
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)

MaskChoice = Literal["single", "best", "all"]


def normalize(pixels: Tensor) -> Tensor:
    """Pixels 0 to 255, (..., 3, H, W), as the float32 numbers the encoders were trained on."""
    mean = torch.tensor(PIXEL_MEAN, device=pixels.device).view(3, 1, 1)
    return (pixels - mean) / torch.tensor(PIXEL_STD, device=pixels.device).view(3, 1, 1)


class ImageFeatures(NamedTuple):
    """What the model remembers of B images.

    Attributes:
        embedding: (B, 256, S / 16, S / 16).
        hq: (B, 32, S / 4, S / 4) fused features of HQ-SAM, or None where the HQ token is not used.
    """

    embedding: Tensor
    hq: Tensor | None

    def rows(self, first: int, last: int) -> ImageFeatures:
        """Features of images `first` to `last`, both included, as views."""
        hq = None if self.hq is None else self.hq[first : last + 1]
        return ImageFeatures(self.embedding[first : last + 1], hq)


class HQSam(nn.Module):
    """Segment Anything, in high quality where the weights have the HQ modules.

    Args:
        image_encoder: maps (B, 3, S, S) to the embedding and the early features.
        interm_dim: channels of the early features.
        image_size: side S of the model's square in pixels.
        has_hq: False for a plain SAM, which can only make `sam` masks.
    """

    def __init__(
        self,
        image_encoder: nn.Module,
        interm_dim: int,
        *,
        image_size: int = 1024,
        has_hq: bool = True,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.interm_dim = interm_dim
        self.has_hq = has_hq
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder(EMBED_DIM, image_size)
        self.mask_decoder = MaskDecoder(EMBED_DIM, interm_dim, has_hq=has_hq)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mask_decoder.iou_token.weight.device

    def encode(self, images: Tensor, *, hq: bool = True) -> ImageFeatures:
        """Features of normalize images (B, 3, S, S); `hq` False leaves the HQ features out."""
        return self.fused(*self.image_encoder(images), hq=hq)

    def fused(self, embedding: Tensor, interm_embeddings: Tensor, *, hq: bool) -> ImageFeatures:
        """Features from what the image encoder returned."""
        return ImageFeatures(embedding, self.mask_decoder.hq_features(embedding, interm_embeddings) if hq else None)

    def decode(
        self,
        features: ImageFeatures,
        prompts: PromptBatch,
        *,
        mask_tokens: Sequence[int] = (0,),
        is_wanted: Callable[[Tensor], Tensor] | None = None,
    ) -> MaskLogits:
        """Logits of a flat batch of prompts, at a quarter of the model square's resolution.

        The HQ token takes part where `features` has HQ features.

        Args:
            features: of the B images that `prompts.image_index` points into.
            prompts: P prompts.
            mask_tokens: which of SAM's four masks to make; may be empty.
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
        )
        return logits

    def predict(
        self,
        features: ImageFeatures,
        prompts: PromptBatch,
        *,
        mask_output: MaskOutput,
        choice: MaskChoice = "single",
        over: float | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Mask logits and IoU estimates as users ask for them.

        Args:
            mask_output: `hq` the HQ logits, `sum` SAM's plus HQ's, `sam` SAM's; `features` must have HQ
                features for the first two and none for the last.
            choice: `single` mask token 0; `best` the one of tokens 1 to 3 with the highest estimate (the
                authors' multimask); `all` three of them.
            over: prompts of which no estimate is over it have logits of 0, since nobody will look at them.

        Returns:
            Logits (P, K, S / 4, S / 4) and estimates (P, K); K is 3 for `all`, else 1.
        """
        if (features.hq is None) != (mask_output == "sam"):
            raise ValueError(f"features and mask output {mask_output!r} do not fit each other")
        wanted = (0,) if choice == "single" else (1, 2, 3)
        own = slice(wanted[0], wanted[-1] + 1)
        sam, hq, iou = self.decode(
            features,
            prompts,
            mask_tokens=() if mask_output == "hq" else wanted,
            is_wanted=None if over is None else lambda iou: iou[:, own].amax(dim=1) > over,
        )
        iou = iou[:, own]
        best = iou.argmax(dim=1, keepdim=True)
        if choice == "best":
            iou = iou.gather(1, best)
            if mask_output != "hq":
                sam = sam.gather(1, best[..., None, None].expand(-1, 1, *sam.shape[-2:]))
        if mask_output == "sam":
            return sam, iou
        assert hq is not None
        return (hq.expand(-1, iou.shape[1], -1, -1) if mask_output == "hq" else sam + hq), iou

    def predict_outputs(
        self,
        features: ImageFeatures,
        prompts: PromptBatch,
        outputs: Sequence[MaskOutput],
        *,
        choice: MaskChoice = "single",
        over: float | None = None,
    ) -> dict[MaskOutput, tuple[Tensor, Tensor]]:
        """`predict` for several outputs, read off the same features; SAM's masks are always made without the HQ token.

        Args:
            outputs: `hq` and `sum` together only with the choice `single`, and then without `over`.
        """
        found: dict[MaskOutput, tuple[Tensor, Tensor]] = {}
        with_hq = [output for output in outputs if output != "sam"]
        if "sam" in outputs:
            found["sam"] = self.predict(
                features._replace(hq=None), prompts, mask_output="sam", choice=choice, over=over
            )
        if len(with_hq) > 1:
            if choice != "single":
                raise ValueError(f"hq and sum have the choice single together, not {choice}")
            sam, hq, iou = self.decode(features, prompts)
            assert hq is not None
            found |= {"hq": (hq, iou[:, :1]), "sum": (sam + hq, iou[:, :1])}
        elif with_hq:
            found[with_hq[0]] = self.predict(features, prompts, mask_output=with_hq[0], choice=choice, over=over)
        return {output: found[output] for output in outputs}
