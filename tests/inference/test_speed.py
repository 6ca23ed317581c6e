"""Benchmark inputs and FLOP counts."""

from __future__ import annotations

import pytest
import torch

from hqsam_cli.inference.predictor import Predictor, prepare_for_inference
from hqsam_cli.inference.speed import matrix_rate, measure_stages, peak_memory, random_boxes, random_photo
from hqsam_cli.weights.registry import build_model


def test_random_boxes_are_inside_the_image() -> None:
    boxes = [prompt.box for prompt in random_boxes(300, 200, 50)]
    assert len(boxes) == 50
    for box in boxes:
        assert box is not None
        x0, y0, x1, y1 = box
        assert 0 <= x0 < x1 <= 300 and 0 <= y0 < y1 <= 200
    assert random_photo(30, 20).shape == (20, 30, 3)


@pytest.mark.parametrize("output", ["sum", "sam"])
def test_flops_are_linear_in_prompts(output: str) -> None:
    torch.manual_seed(0)
    model = build_model("vit_tiny", image_size=128, device="cpu").eval().requires_grad_(False)
    predictor = Predictor(model, mask_output=output, prompts_per_batch=4)  # type: ignore[arg-type]
    one, two, three = (measure_stages(predictor, [random_photo(64, 48)], count) for count in (1, 2, 3))
    assert three.operations - two.operations == two.operations - one.operations > 0
    assert one.operations > 2 * (two.operations - one.operations)
    assert two.image == pytest.approx(two.encode + 2 * (two.decode + two.write))
    assert two.rate == pytest.approx(two.operations / (two.encode + 2 * two.decode))


def test_fused_convolutions_are_counted() -> None:
    torch.manual_seed(0)
    counts = []
    for prepare in (False, True):
        model = build_model("vit_tiny", image_size=128, device="cpu").eval().requires_grad_(False)
        model = prepare_for_inference(model, "cpu") if prepare else model
        counts.append(measure_stages(Predictor(model), [random_photo(64, 48)], 1).operations)
    assert counts[0] == counts[1]


def test_matrix_rate_and_peak_memory_are_plausible() -> None:
    cpu = torch.device("cpu")
    assert matrix_rate(cpu, torch.float32) > 1e8
    assert peak_memory(cpu) > 50_000_000
