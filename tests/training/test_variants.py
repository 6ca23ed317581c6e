"""Ablations: what they learn, and what their masks depend on."""

from __future__ import annotations

import pytest
import torch

from hqsam_cli.configs import Learn, TrainConfig
from hqsam_cli.errors import UsageError
from hqsam_cli.modeling.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PromptBatch
from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.training.ablations import TABLES
from hqsam_cli.training.variants import VARIANTS, prepare
from hqsam_cli.weights.conversion import HQ_MODULES, is_hq

from .conftest import copied, equal, small_model

FUSIONS = ("none", "decoder", "early", "final", "full")
PROMPT = PromptBatch(
    torch.tensor([0]), torch.tensor([[[8.0, 8.0], [50.0, 50.0]]]), torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]])
)


def features() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(1, 256, 4, 4, generator=generator), torch.randn(1, 160, 4, 4, generator=generator)


def hq_logits(model: HQSam, embedding: torch.Tensor, early: torch.Tensor) -> torch.Tensor:
    logits = model.decode(model.fused(embedding, early, hq=True), PROMPT, mask_tokens=()).hq
    assert logits is not None
    return logits


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "full"])
def test_every_variant_trains_and_leaves_sam_alone(name: str) -> None:
    model = small_model()
    before = {key: value.clone() for key, value in model.state_dict().items() if not is_hq(key)}
    prepare(model, TrainConfig(variant=name))
    hq_logits(model, *features()).square().mean().backward()
    learned = {key: p for key, p in model.named_parameters() if p.requires_grad}
    assert learned
    assert all(is_hq(key) and p.grad is not None and p.grad.any() for key, p in learned.items())
    after = model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


@torch.no_grad()
def test_full_is_the_plain_decoder() -> None:
    model, plain = small_model(), small_model()
    prepare(model, TrainConfig(variant="full"))
    assert torch.equal(hq_logits(model, *features()), hq_logits(plain, *features()))


@pytest.mark.parametrize("fusion", FUSIONS)
@torch.no_grad()
def test_fusion_sources_are_those_of_the_name(fusion: str) -> None:
    model = small_model()
    prepare(model, TrainConfig(variant="full" if fusion == "full" else f"fusion-{fusion}"))
    embedding, early = features()
    same = torch.equal(hq_logits(model, embedding, early), hq_logits(model, embedding, early + 1))
    assert same == (fusion in ("none", "decoder", "final"))
    parts = {name.split(".")[1] for name, _ in model.named_parameters() if is_hq(name)}
    wanted = {
        "none": set(),
        "decoder": {"embedding_maskfeature"},
        "early": {"embedding_maskfeature", "compress_vit_feat"},
        "final": {"embedding_maskfeature", "embedding_encoder"},
        "full": set(HQ_MODULES[2:]),
    }[fusion]
    assert parts == wanted | {"hf_token", "hf_mlp"}


@torch.no_grad()
def test_context_tokens_make_no_mask_of_their_own() -> None:
    """Without them in the sequence their mask is SAM's."""
    model = small_model()
    prepare(model, TrainConfig(variant="context"))
    embedding, early = features()
    with_tokens = model.decode(model.fused(embedding, early, hq=True), PROMPT)
    assert with_tokens.hq is not None
    torch.testing.assert_close(with_tokens.hq, with_tokens.sam)
    alone = model.decode(model.fused(embedding, early, hq=False), PROMPT)
    assert not torch.allclose(alone.sam, with_tokens.sam)


@pytest.mark.parametrize(
    "learn, parts", [("all", None), ("decoder", None), ("token", {"mask_tokens", "output_hypernetworks_mlps"})]
)
def test_learning_a_part_of_sam_makes_a_plain_sam(learn: Learn, parts: set[str] | None) -> None:
    model = small_model()
    prepare(model, TrainConfig(learn=learn))
    assert not model.has_hq
    assert not any(is_hq(key) for key in model.state_dict())
    learned = {name for name, p in model.named_parameters() if p.requires_grad}
    tops = {name.split(".")[0] for name in learned}
    assert tops == ({"image_encoder", "prompt_encoder", "mask_decoder"} if learn == "all" else {"mask_decoder"})
    if parts:
        assert {name.split(".")[1] for name in learned} == parts


def test_a_plain_sam_gets_new_modules_and_an_hq_sam_keeps_its_own() -> None:
    plain, seeded = small_model(has_hq=False), small_model(has_hq=False)
    sam = {key: value.clone() for key, value in plain.state_dict().items()}
    prepare(plain, TrainConfig(seed=7))
    prepare(seeded, TrainConfig(seed=7))
    assert plain.has_hq
    state = plain.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in sam.items())
    assert all(torch.equal(value, state[key]) for key, value in seeded.state_dict().items())

    model = small_model()
    token = model.mask_decoder.hf_token.weight.clone()
    prepare(model, TrainConfig())
    assert torch.equal(model.mask_decoder.hf_token.weight, token)
    prepare(model, TrainConfig(fresh=True))
    assert not torch.equal(model.mask_decoder.hf_token.weight, token)


def test_an_iou_head_is_trained_alone_and_belongs_to_its_hq_modules() -> None:
    model = small_model()
    before = copied(model)
    prepare(model, TrainConfig(learn="score"))
    assert equal(before, model.state_dict())
    learned = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(learned) == 4 and all(name.startswith("mask_decoder.hf_iou_head.") for name in learned)
    head = model.mask_decoder.hf_iou_head
    prepare(model, TrainConfig(learn="score"))
    assert model.mask_decoder.hf_iou_head is head
    prepare(model, TrainConfig(learn="score", fresh=True))
    assert model.mask_decoder.hf_iou_head not in (head, None)
    prepare(model, TrainConfig())
    assert model.state_dict().keys() == before.keys()
    with pytest.raises(UsageError, match="no HQ modules"):
        prepare(small_model(has_hq=False), TrainConfig(learn="score"))


def test_tables_begin_with_sam_and_end_with_hq_sam() -> None:
    for rows in TABLES.values():
        assert (rows[0].title, rows[0].paper) == ("SAM", (79.5, 71.1))
        assert (rows[-1].title, rows[-1].paper, rows[-1].variant) == ("HQ-SAM", (89.1, 81.8), "full")
        assert len({row.name for row in rows}) == len(rows)


def test_new_modules_may_begin_with_sams_masks() -> None:
    model = small_model(has_hq=False)
    own = copied(model)
    prepare(model, TrainConfig(init="sam"))
    boxes = torch.tensor([[[8.0, 8.0], [50.0, 40.0]], [[0.0, 20.0], [30.0, 60.0]]])
    labels = torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]] * 2)
    with torch.inference_mode():
        features = model.encode(torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
        decoded = model.decode(features, PromptBatch(torch.zeros(2, dtype=torch.long), boxes, labels))
    assert decoded.hq is not None
    seen = decoded.sam > 0
    assert seen.any() and not seen.all()
    assert ((decoded.hq > 0) == seen).float().mean() > 0.9999  # all but where a logit is 0 to the last bit
    assert equal(own, model.state_dict())
