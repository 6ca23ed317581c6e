"""The ablations of HQ-SAM: its tables 2 to 4, as decoders with parts left out or exchanged, and other things learned.

What the paper leaves open was decided so:

- *context tokens*: three learned tokens stand in the decoder's sequence where the HQ token would; the mask is
  made by SAM's own single-mask token and its MLP, both frozen, which see them through attention.
- *scaled output token*: the HQ token, after the transformer, attends to SAM's four mask tokens by scaled
  dot-product attention without projections, and what it finds is added to it.
- *boundary loss*: the loss counts only points within 2 % of the diagonal from the contour of the ground truth.
- *fusion sources*: `none` is SAM's mask feature as it is, without the convolutions of `embedding_maskfeature`;
  `decoder` is those convolutions alone. The paper's figures of the rows between are taken for `early` and
  `final`; it gives none for `decoder`.
- *output token learned*: the embedding of SAM's mask tokens and the MLP of the single mask.
- *decoder learned*: all of SAM's mask decoder; *all*: every parameter of SAM, batch norms keeping their statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..configs import Learn, TrainConfig
from ..modeling.mask_decoder import MASK_TOKENS, MaskDecoder, products
from ..modeling.sam import EMBED_DIM, HQSam
from ..weights.conversion import HQ_MODULES, is_hq

Token = Literal["hq", "context", "scaled"]
Fusion = Literal["none", "decoder", "early", "final", "full"]

OUTPUT_TOKEN = ("mask_decoder.mask_tokens.", "mask_decoder.output_hypernetworks_mlps.0.")
CONTEXT_TOKENS = 3
FEATURE_SIZE = 0.1  # root mean square of a pixel's mask features, in SAM's decoder


@dataclass(frozen=True, slots=True)
class Variant:
    """What makes the HQ mask: which token, from which features, and whether only boundaries count in the loss."""

    token: Token = "hq"
    fusion: Fusion = "full"
    boundary_only: bool = False


FULL = Variant()
VARIANTS = {
    "full": FULL,
    "context": Variant("context", "none"),
    "token": Variant("hq", "none"),
    "scaled": Variant("scaled", "none"),
    "boundary": Variant("hq", "none", boundary_only=True),
    "hq-context": Variant("context", "full"),
    "fusion-none": Variant(fusion="none"),
    "fusion-decoder": Variant(fusion="decoder"),
    "fusion-early": Variant(fusion="early"),
    "fusion-final": Variant(fusion="final"),
}


def is_learned(name: str, learn: Learn) -> bool:
    """Whether a parameter is learned; the others are frozen."""
    if learn == "hq":
        return is_hq(name)
    return name.startswith({"all": ("",), "decoder": ("mask_decoder.",), "token": OUTPUT_TOKEN}[learn])


class AblatedDecoder(MaskDecoder):
    """The HQ decoder with some of its parts left out or exchanged; see the head of this module."""

    def __init__(self, embed_dim: int, interm_dim: int, variant: Variant) -> None:
        super().__init__(embed_dim, interm_dim)
        self.variant = variant
        if variant.token == "context":
            self.hf_token = nn.Embedding(CONTEXT_TOKENS, embed_dim)
            del self.hf_mlp
        if variant.fusion == "none":
            del self.embedding_maskfeature
        if variant.fusion not in ("early", "full"):
            del self.compress_vit_feat
        if variant.fusion not in ("final", "full"):
            del self.embedding_encoder

    def hq_features(self, embedding: Tensor, interm_embeddings: Tensor) -> Tensor:
        """As in `MaskDecoder`, from the sources there are; zeros where there are none."""
        batch, channels, height, width = embedding.shape
        features = embedding.new_zeros(batch, channels // 8, 4 * height, 4 * width)
        if self.variant.fusion in ("final", "full"):
            features = features + self.embedding_encoder(embedding)
        if self.variant.fusion in ("early", "full"):
            features = features + self.compress_vit_feat(interm_embeddings)
        return features

    def _hq_weights(self, hidden: Tensor) -> Tensor:
        if self.variant.token == "context":
            weights: Tensor = self.output_hypernetworks_mlps[0](hidden[:, 1])
            return weights
        token = hidden[:, 1 + MASK_TOKENS]
        if self.variant.token == "scaled":
            others = hidden[:, 1 : 1 + MASK_TOKENS]
            likeness = torch.einsum("pc,pkc->pk", token, others) * token.shape[-1] ** -0.5
            token = token + torch.einsum("pk,pkc->pc", likeness.softmax(dim=1), others)
        weights = self.hf_mlp(token)
        return weights

    def _hq_logits(self, token: Tensor, upscaled: Tensor, hq_features: Tensor, image_index: Tensor) -> Tensor:
        if self.variant.fusion == "none":
            return products(upscaled, token.unsqueeze(1))
        return super()._hq_logits(token, upscaled, hq_features, image_index)


def prepare(model: HQSam, config: TrainConfig) -> None:
    """Give a model the decoder that is to be trained, and freeze what is not learned.

    SAM's part keeps its weights. HQ modules are new where the model has none, where they are not those of a whole
    HQ-SAM, and where `config.fresh` asks for it: as PyTorch makes them, which is the paper's way, or such that
    their mask is SAM's.
    """
    dim = model.interm_dim
    torch.manual_seed(config.seed)
    learn, variant = config.learn, VARIANTS[config.variant]
    decoder = model.mask_decoder
    if learn != "hq":
        decoder = MaskDecoder(EMBED_DIM, dim, has_hq=False)
    elif variant != FULL:
        decoder = AblatedDecoder(EMBED_DIM, dim, variant)
    elif config.fresh or not model.has_hq:
        decoder = MaskDecoder(EMBED_DIM, dim)
    if decoder is not model.mask_decoder:
        sam = {k: v for k, v in model.mask_decoder.state_dict().items() if k.split(".")[0] not in HQ_MODULES}
        decoder.load_state_dict({**decoder.state_dict(), **sam})
        model.mask_decoder, model.has_hq = decoder, decoder.has_hq
        if config.init == "sam" and decoder.has_hq:
            begin_as_sam(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_learned(name, learn))


@torch.no_grad()
def begin_as_sam(model: HQSam) -> None:
    """Give the HQ modules weights with which the HQ mask is SAM's, to the pixel where their token is present.

    From there a short training only has to learn what is better. The token and its MLP are copies of SAM's. Of each
    of SAM's mask features x the HQ features hold x and -x, so their mean is 0, the layer norm divides them by their
    size, and the second convolution takes their difference: gelu(x) - gelu(-x) = x. A mask is where the product of
    token and features is positive, which no size changes. As the features grow to 1, so the token shrinks: with
    smaller ones the first steps of Adam undo all this. The encoder's two features begin with weight 0.
    """
    decoder = model.mask_decoder
    decoder.hf_token.weight.copy_(decoder.mask_tokens.weight[:1])
    decoder.hf_mlp.load_state_dict(decoder.output_hypernetworks_mlps[0].state_dict())
    first, norm, _, last = decoder.embedding_maskfeature
    for layer in (decoder.compress_vit_feat[-1], decoder.embedding_encoder[-1], first, last):
        for parameter in layer.parameters():
            parameter.zero_()
    center = (slice(None), slice(None), 1, 1)
    same = torch.eye(len(last.get_parameter("weight")))
    first.get_parameter("weight")[center] = torch.cat([same, -same])
    last.get_parameter("weight")[center] = torch.cat([same, -same], dim=1)
    norm.get_parameter("weight").fill_(1.0)
    norm.get_parameter("bias").zero_()
    for parameter in decoder.hf_mlp.layers[-1].parameters():
        parameter.mul_(FEATURE_SIZE)
