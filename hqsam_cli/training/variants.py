"""Ablations of HQ-SAM (tables 2 to 4): reduced decoders, and other sets of trained parameters.

What the paper does not specify:

- *context tokens*: three learned tokens replace the HQ token in the decoder; the mask comes from SAM's frozen
  single-mask token and its MLP, which attend to them.
- *scaled output token*: after the transformer, the HQ token attends to SAM's four mask tokens by scaled dot-product
  attention without projections, with a residual connection.
- *boundary loss*: only points within 2 % of the diagonal from the ground truth contour count.
- *fusion sources*: `none` is SAM's mask feature without the convolutions of `embedding_maskfeature`; `decoder` is those
  convolutions alone, for which the paper has no results.
- *output token learned*: the embedding of SAM's mask tokens and the MLP of the single mask.
- *decoder learned*: all of SAM's mask decoder; *all*: every parameter of SAM, batch norms keeping their statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..configs import Learn, TrainConfig
from ..errors import UsageError
from ..modeling.mask_decoder import MASK_TOKENS, MaskDecoder, products
from ..modeling.mask_quality import IoUHead
from ..modeling.sam import EMBED_DIM, HQSam
from ..weights.conversion import HQ_MODULES, IOU_HEAD, is_hq

Token = Literal["hq", "context", "scaled"]
Fusion = Literal["none", "decoder", "early", "final", "full"]

OUTPUT_TOKEN = ("mask_decoder.mask_tokens.", "mask_decoder.output_hypernetworks_mlps.0.")
CONTEXT_TOKENS = 3
FEATURE_SIZE = 0.1  # root mean square of a pixel's mask features, in SAM's decoder


@dataclass(frozen=True, slots=True)
class Variant:
    """Token and features of the HQ mask, and whether the loss covers boundaries only."""

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
    """Whether a parameter is trained; all others are frozen."""
    if learn == "hq":
        return is_hq(name)
    parts = {"score": (IOU_HEAD,), "all": ("",), "decoder": ("mask_decoder.",), "token": OUTPUT_TOKEN}
    return name.startswith(parts[learn])


class AblatedDecoder(MaskDecoder):
    """The HQ decoder with parts removed or replaced; see the module docstring."""

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
        """See `MaskDecoder`; from the variant's sources, or zeros."""
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
    """Replace the model's decoder by the one to train, and freeze all other parameters.

    SAM's weights are kept. HQ modules are new if the model has none, with `config.fresh`, and in ablations: initialized
    by PyTorch, as in the paper, or by `init_as_sam`. An IoU head is trained for the masks of the HQ modules, so it is
    removed if these are trained.

    Raises:
        UsageError: an ablation of a model whose HQ modules fuse no early features, or a head for a model without any.
    """
    dim = model.interm_dim
    torch.manual_seed(config.seed)
    learn, variant = config.learn, VARIANTS[config.variant]
    decoder = model.mask_decoder
    if learn == "score":
        if not model.has_hq:
            raise UsageError("`learn` score: the base model has no HQ modules", remedy="train them first")
        if config.fresh or decoder.hf_iou_head is None:
            decoder.hf_iou_head = IoUHead()
    else:
        decoder.hf_iou_head = None
    if config.trains_sam:
        decoder = model.mask_decoder_class(EMBED_DIM, dim, has_hq=False)
    elif variant != FULL:
        if not dim:
            raise UsageError("ablations are of HQ-SAM's early features and tokens", remedy="pass a SAM or HQ-SAM")
        decoder = AblatedDecoder(EMBED_DIM, dim, variant)
    elif learn == "hq" and (config.fresh or not model.has_hq):
        decoder = model.mask_decoder_class(EMBED_DIM, dim)
    if decoder is not model.mask_decoder:
        sam = {k: v for k, v in model.mask_decoder.state_dict().items() if k.split(".")[0] not in HQ_MODULES}
        decoder.load_state_dict({**decoder.state_dict(), **sam})
        model.mask_decoder, model.has_hq = decoder, decoder.has_hq
        if config.init == "sam" and decoder.has_hq:
            init_as_sam(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_learned(name, learn))


@torch.no_grad()
def init_as_sam(model: HQSam) -> None:
    """Initialize the HQ modules such that the HQ mask equals SAM's.

    The token and its MLP are copies of SAM's. For each of SAM's mask features x, the HQ features hold x and -x: their
    mean is 0, the layer norm only scales them, and the second convolution takes their difference,
    gelu(x) - gelu(-x) = x. The product of token and features keeps its sign; as the features are scaled up, the last
    layer of the token's MLP is scaled down, since Adam's first steps would destroy smaller features. The two encoder
    features, if any, start with weight 0.
    """
    decoder = model.mask_decoder
    decoder.hf_token.weight.copy_(decoder.mask_tokens.weight[:1])
    decoder.hf_mlp.load_state_dict(decoder.output_hypernetworks_mlps[0].state_dict())
    first, norm, _, last = decoder.embedding_maskfeature
    encoder_features = [decoder.compress_vit_feat[-1], decoder.embedding_encoder[-1]] if model.interm_dim else []
    for layer in (*encoder_features, first, last):
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
