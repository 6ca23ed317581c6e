"""What a GPU would do, counted without one by `tests/bench/gpu_plan.py`."""

from __future__ import annotations

import pytest
import torch

from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.inference.speed import measure_stages, random_photo
from hqsam_cli.weights.registry import build_model

from ..bench.gpu_plan import make_plan

IMAGES = 4


@pytest.mark.parametrize("architecture", ["vit_tiny", "vit_b"])
def test_the_host_never_waits_before_postprocessing(architecture: str) -> None:
    plan = make_plan(architecture, torch.bfloat16, IMAGES, boxes=8)
    assert plan.syncs("encode") == plan.syncs("decode") == []
    assert len(plan.syncs("postprocess")) == 2  # the bounds of masks, and their pixels
    assert not plan.single_precision_products()
    copies = [own.copy for own in plan.stages["encode"] if own.copy]
    assert copies == ["to device"] * len(copies) and len(copies) <= IMAGES + 2  # each image, and two constants


def test_float32_runs_have_products_in_float32() -> None:
    assert make_plan("vit_tiny", torch.float32, 1, boxes=1).single_precision_products()


def test_counted_operations_are_those_of_a_cpu() -> None:
    plan = make_plan("vit_tiny", torch.float32, 1, boxes=2)
    counted = sum(own.flops for own in [*plan.stages["encode"], *plan.stages["decode"]])
    torch.manual_seed(0)
    predictor = Predictor(build_model("vit_tiny", device="cpu").eval().requires_grad_(False), mask_output="sum")
    measured = measure_stages(predictor, [random_photo(64, 48)], 2).operations
    assert counted == pytest.approx(measured, rel=0.1)  # torch does not count the attention of CPUs
