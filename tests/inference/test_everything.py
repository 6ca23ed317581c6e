"""Everything mode against the authors' mask generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from hqsam_cli.configs import EverythingConfig
from hqsam_cli.inference import everything
from hqsam_cli.inference.everything import MaskGenerator, choice_at_points, point_grid
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.records import Instance
from hqsam_cli.weights.registry import build_model
from tests.modeling.conftest import randomized

WIDTH, HEIGHT = 200, 150


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8))
    return np.array(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The authors' `vit_tiny` with random weights, whose predicted IoUs vary around the threshold."""
    from segment_anything_hq import sam_model_registry

    torch.manual_seed(7)
    return randomized(sam_model_registry["vit_tiny"](checkpoint=None))


@pytest.fixture(scope="module")
def ours(theirs: Any) -> Predictor:
    model = build_model("vit_tiny", device="cpu")
    model.load_state_dict(theirs.state_dict())
    return Predictor(model.eval(), choice="best", prompts_per_batch=16)


@pytest.fixture(scope="module")
def chosen(ours: Predictor, photo: np.ndarray) -> dict[str, Any]:
    """Thresholds that two thirds of the masks of random weights pass; these masks are large and unstable."""
    whole: dict[str, Any] = {"box_nms_thresh": 1.0, "crop_nms_thresh": 1.0, "points_per_side": 3}
    whole["stability_score_offset"] = 0.02
    loose = EverythingConfig(**whole, pred_iou_thresh=-1e9, stability_score_thresh=0)
    (found,) = MaskGenerator(ours, loose).generate([photo])
    assert len(found) == 9
    estimates = sorted(i.predicted_iou for i in found)
    stability = sorted(float(i.more["stability_score"]) for i in found)
    assert stability[0] < stability[-1] - 0.01
    return whole | {
        "pred_iou_thresh": (estimates[1] + estimates[2]) / 2,
        "stability_score_thresh": (stability[1] + stability[2]) / 2,
    }


@pytest.mark.parametrize(
    "options",
    [{}, {"min_mask_region_area": 30}, {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2}],
)
def test_the_masks_are_the_authors(
    ours: Predictor, theirs: Any, photo: np.ndarray, chosen: dict[str, Any], options: dict[str, Any]
) -> None:
    from segment_anything_hq import SamAutomaticMaskGenerator

    options = chosen | options
    (found,) = MaskGenerator(ours, EverythingConfig(**options)).generate([photo])
    expected = SamAutomaticMaskGenerator(theirs, **options, output_mode="binary_mask").generate(photo)
    assert 2 < len(found) == len(expected)
    for instance, wanted in zip(found, expected, strict=True):
        mask = instance.mask.full()
        union = (mask | wanted["segmentation"]).sum()
        assert (mask & wanted["segmentation"]).sum() >= 0.99 * union
        assert instance.predicted_iou == pytest.approx(wanted["predicted_iou"], abs=1e-4)
        assert instance.more["stability_score"] == pytest.approx(wanted["stability_score"], abs=1e-3)
        assert instance.more["point_coords"][0] == pytest.approx(wanted["point_coords"][0])
        assert instance.more["crop_box"] == wanted["crop_box"]


def test_batched_images_equal_single_ones(ours: Predictor, photo: np.ndarray, chosen: dict[str, Any]) -> None:
    generator = MaskGenerator(ours, EverythingConfig(**chosen | {"points_per_side": 2}))
    other = photo[:100, ::-1].copy()

    def shown(found: list[Instance]) -> list[tuple[float, int]]:
        return [(instance.predicted_iou, int(instance.mask.bits.sum())) for instance in found]

    together = generator.generate([photo, other])
    assert [shown(own) for own in together] == [shown(generator.generate([image])[0]) for image in (photo, other)]


def test_progress_within_images_goes_by_points(ours: Predictor, photo: np.ndarray) -> None:
    parts: list[float] = []
    few = Predictor(ours.model, choice=ours.choice, prompts_per_batch=4)
    MaskGenerator(few, EverythingConfig(points_per_side=3), on_part=parts.append).generate([photo])
    assert parts == [4 / 9, 8 / 9, 1]


def test_points_that_a_mask_covers_are_skipped_after_a_coarse_grid(
    ours: Predictor, photo: np.ndarray, chosen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "POINTS_AT_ONCE", 1)
    options = chosen | {"pred_iou_thresh": -1e9, "stability_score_thresh": 0, "points_per_side": 3}
    config, parts = EverythingConfig(**options, coarse_points_per_side=2), list[float]()
    (found,) = MaskGenerator(ours, config, on_part=parts.append).generate([photo])
    masks = {tuple(own.more["point_coords"][0]): own.mask.full() for own in found}
    seen = [masks[tuple(point)] for point in point_grid(2) * [WIDTH, HEIGHT]]
    for x, y in point_grid(3) * [WIDTH, HEIGHT]:
        covered = any(mask[int(y), int(x)] for mask in seen)
        assert ((x, y) in masks) != covered
        seen += [] if covered else [masks[x, y]]
    assert len(masks) < 4 + 9
    assert parts == sorted(parts) and parts[-1] == 1
    assert choice_at_points("sum", config) == "all" and choice_at_points("sum", EverythingConfig()) == "best"


def test_no_masks_is_an_empty_list(ours: Predictor, photo: np.ndarray) -> None:
    assert MaskGenerator(ours, EverythingConfig(points_per_side=1, pred_iou_thresh=1e9)).generate([photo]) == [[]]


def test_annotations_have_the_generators_fields(ours: Predictor, photo: np.ndarray, chosen: dict[str, Any]) -> None:
    (found,) = MaskGenerator(ours, EverythingConfig(**chosen | {"points_per_side": 2})).generate([photo])
    annotation = found[0].to_coco(1)
    assert {"point_coords", "stability_score", "crop_box", "predicted_iou"} <= annotation.keys()
    assert coco_mask.decode(annotation["segmentation"]).shape == (HEIGHT, WIDTH)
