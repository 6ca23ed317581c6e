"""Objects are found in windows of large images, once each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

import cv2
import numpy as np
import pytest
import torch

from hqsam_cli.configs import EverythingConfig, ObjectsConfig, Windows
from hqsam_cli.inference.crops import Found, Window, window_crops
from hqsam_cli.inference.everything import MaskGenerator
from hqsam_cli.inference.objects import ObjectPredictor, to_low_res
from hqsam_cli.inference.predictor import EncodedImages, Predictor
from hqsam_cli.inference.preprocess import ResizeLongestSide
from hqsam_cli.records import Instance, MaskCrop, Prompt
from hqsam_cli.weights.registry import build_model

SIDE = 128  # input size of the random model
LEAST = 8  # pixels, at decoder resolution, of what the stand-in segments
# Squares in an image of 900 x 700 pixels: x, y and side. One is large, some lie on edges of windows.
SQUARES = [(300, 200, 300), (30, 40, 20), (120, 60, 20), (240, 30, 20), (870, 660, 20), (700, 100, 20), (40, 560, 20)]


def squares_at(
    self: Predictor, encoded: EncodedImages, prompts: Any, outputs: Sequence[Any], **_: Any
) -> Iterator[Any]:
    """Stands in for `Predictor.logits`: the white square at a point, or in a box, if it is large enough to be seen."""
    masks = []
    if not prompts:
        return
    for row, prompt in prompts:
        image = encoded.images[row]
        canvas = np.zeros((SIDE, SIDE), np.uint8)
        canvas[: image.resize.input_height, : image.resize.input_width] = image.pixels[..., 0]
        white = (cv2.resize(canvas, (SIDE // 4, SIDE // 4), interpolation=cv2.INTER_AREA) > 127).astype(np.uint8)
        scale = SIDE / max(image.resize.height, image.resize.width) / 4
        if prompt.points is None:
            x0, y0, x1, y1 = (round(scale * n) for n in prompt.box)
            masks.append(np.pad(white[y0:y1, x0:x1], ((y0, SIDE // 4 - y1), (x0, SIDE // 4 - x1))))
            continue
        labels = cv2.connectedComponents(white)[1]
        own = labels[int(scale * prompt.points[0, 1]), int(scale * prompt.points[0, 0])]
        masks.append((labels == own) * white)
    bits = torch.from_numpy(np.stack(masks) > 0)[:, None]
    scores = (bits.sum(dim=(2, 3)) >= LEAST).float()
    yield prompts, {name: (torch.where(bits, 20.0, -20.0), scores) for name in outputs}


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> Predictor:
    monkeypatch.setattr(Predictor, "logits", squares_at)
    monkeypatch.setattr("hqsam_cli.inference.crops.EDGE_TOLERANCE", 3.0)  # as for the input size of real models
    torch.manual_seed(0)
    return Predictor(build_model("vit_tiny", image_size=SIDE, device="cpu").eval().requires_grad_(False))


@pytest.fixture
def photo() -> np.ndarray:
    image = np.zeros((700, 900, 3), np.uint8)
    for x, y, side in SQUARES:
        image[y : y + side, x : x + side] = 255
    return image


def found_by(
    kind: str, predictor: Predictor, image: np.ndarray, windows: Windows
) -> tuple[list[Instance], list[float]]:
    parts: list[float] = []
    if kind == "everything":
        config = EverythingConfig(points_per_side=10, pred_iou_thresh=0.5)
        (found,) = MaskGenerator(predictor, config, windows=windows, on_part=parts.append).generate([image])
    else:

        def detect(images: list[np.ndarray]) -> list[list[Prompt]]:
            assert all(own.shape[2] == 3 for own in images)
            return [[] for _ in images]

        grids = ObjectsConfig(grid_points=(5, 10), grid_iou=0.5)
        objects = ObjectPredictor(predictor, grids, None, detect, windows=windows, on_part=parts.append)
        (found,) = objects.generate([image])
    return found, parts


@pytest.mark.parametrize("kind", ["everything", "objects"])
def test_small_objects_of_a_large_image_are_found_once_each(predictor: Predictor, photo: np.ndarray, kind: str) -> None:
    whole, _ = found_by(kind, predictor, photo, "off")
    assert len(whole) == 1
    found, parts = found_by(kind, predictor, photo, "auto")
    assert len(found) == len(SQUARES)
    for x, y, side in SQUARES:
        gt = np.zeros(photo.shape[:2], bool)
        gt[y : y + side, x : x + side] = True
        masks = [own.mask.full() for own in found]
        assert max((own & gt).sum() / (own | gt).sum() for own in masks) > 0.6
        assert sum(bool((own & gt).any()) for own in masks) == 1
    crops = len(list(window_crops(photo.shape, SIDE, "auto")))
    assert parts == sorted(parts) and parts[-1] == 1 and len(parts) >= crops
    for own in found:  # also its prompt is in the pixels of the image
        x, y, w, h = own.mask.tight_box()
        points = own.prompt.points
        inside = [own.prompt.box[:2]] if own.prompt.box is not None else [] if points is None else [points[0, :2]]
        assert all(x - 20 <= px <= x + w + 20 and y - 20 <= py <= y + h + 20 for px, py in inside) and inside


def test_an_object_of_a_large_image_that_is_not_searched_is_segmented_again(predictor: Predictor) -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    image[57:123, 143:217] = 255

    def iou(windows: Windows) -> float:
        ((mask,), _) = found_by("objects", predictor, image, windows)
        own, gt = mask.mask.full(), image[..., 0] > 0
        return float((own & gt).sum() / (own | gt).sum())

    assert iou("auto") > iou("off") + 0.02


@pytest.mark.parametrize("kind", ["everything", "objects"])
def test_images_of_a_batch_have_the_masks_that_they_have_alone(
    predictor: Predictor, photo: np.ndarray, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictor, "on_cpu", False)
    small, large = photo[20:160, 100:260], photo[:300, :400]
    config = EverythingConfig(points_per_side=10, pred_iou_thresh=0.5)
    generator: MaskGenerator | ObjectPredictor = MaskGenerator(predictor, config, windows="on")
    if kind == "objects":
        grids = ObjectsConfig(grid_points=(5, 10), grid_iou=0.5)
        generator = ObjectPredictor(predictor, grids, None, windows="on")
    together = generator.generate([small, large])
    for image, found in zip((small, large), together, strict=True):
        (alone,) = generator.generate([image])
        boxes = [sorted(own.mask.tight_box() for own in masks) for masks in (found, alone)]
        assert boxes[0] == boxes[1] and len(alone) > 1


@pytest.mark.parametrize(
    ("shape", "windows", "sides"),
    [
        ((480, 640, 3), "auto", []),
        ((4608, 6143, 3), "auto", []),
        ((4608, 6144, 3), "auto", [4096, 2048, 1024]),
        ((3840, 5120, 3), "on", [4096, 2048, 1024]),
        ((3840, 5120, 3), "off", []),
        ((480, 640, 3), "on", [427]),
        ((700, 12_000, 3), "auto", [8192, 4096, 2048, 1024]),
    ],
)
def test_layers_of_windows_cover_the_image(
    shape: tuple[int, ...], windows: Literal["auto", "on", "off"], sides: list[int]
) -> None:
    height, width, _ = shape
    (first, layer), *rest = window_crops(shape, 1024, windows)
    assert first == (0, 0, width, height) and layer == 0
    for number, side in enumerate(sides, 1):
        own = [window for window, layer in rest if layer == number]
        assert {(w.x1 - w.x0, w.y1 - w.y0) for w in own} == {(min(side, width), min(side, height))}
        for low, high, length in ((0, 2, width), (1, 3, height)):
            spans = sorted({(window[low], window[high]) for window in own})
            assert spans[0][0] == 0 and spans[-1][1] == length
            ends = pairwise(spans)
            assert all(end - start >= side // 3 for (_, end), (start, _) in ends)
    assert {layer for _, layer in rest} == set(range(1, len(sides) + 1))


def test_masks_at_an_edge_of_a_window_are_cut_unless_it_is_the_images() -> None:
    def is_cut(x: int, y: int) -> bool:
        mask = MaskCrop(np.ones((30, 40), bool), x, y, 1000, 800)
        return Found.of(Instance(Prompt(), mask, 1.0), Window(500, 400, 1000, 800)).is_cut

    assert [is_cut(*own) for own in ((600, 500), (510, 500), (600, 415), (960, 770), (990, 500))] == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_masks_are_downscaled_as_by_opencv() -> None:
    rng = np.random.default_rng(0)
    for width, height in ((300, 200), (1037, 711), (90, 500), (128, 128)):
        resize = ResizeLongestSide.of(height, width, SIDE)
        bits = rng.random((height // 2, width // 3)) > 0.5
        mask = MaskCrop(bits, width // 4, height // 3, width, height)
        low_res = to_low_res(mask, resize)
        size = low_res.shape[::-1]
        expected = cv2.resize(mask.full().view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        assert np.array_equal(low_res, expected.view(bool)) and low_res.any()


def test_small_regions_of_a_huge_image() -> None:
    """Small holes and regions are removed without an array of the whole image, which has 10¹² pixels."""
    generator = MaskGenerator(
        Predictor(build_model("vit_tiny", image_size=SIDE, device="cpu")), EverythingConfig(min_mask_region_area=5)
    )
    bits = np.zeros((20, 30), bool)
    bits[2:18, 2:18] = True
    bits[8, 8] = False  # a hole
    bits[0, 29] = True  # a region
    mask = MaskCrop(bits, 0, 999_980, 10**6, 10**6)
    found = Found.of(Instance(Prompt(), mask, 0.9), Window(0, 0, 10**6, 10**6))
    (cleaned,) = generator._merged([found], 1)
    assert cleaned.box == (2, 999_982, 17, 999_997)
    assert np.count_nonzero(cleaned.instance.mask.bits) == 16 * 16
