"""Training samples: what they hold, what they depend on, what they skip."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from hqsam_cli.configs import Augmentation
from hqsam_cli.data.pairs import ImageMaskFolder, Pair
from hqsam_cli.errors import HqsamError
from hqsam_cli.modeling.prompt_encoder import (
    ABSENT,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND_POINT,
    PADDING_POINT,
)
from hqsam_cli.training.augment import Strength, composite, large_scale_jittered, mosaic
from hqsam_cli.training.data import AugmentedPairs, Samples, collate, step_batches
from hqsam_cli.training.prompts import PromptMix, loose_prompt, paper_prompt, prompt_batch, varied_prompt

SIZE = 96


def samples_of(
    folder: ImageMaskFolder, batch: int = 2, augmentation: Augmentation = "paper", prompts: int = 1
) -> Samples:
    return Samples(AugmentedPairs([folder], SIZE, batch, seed=5, augmentation=augmentation), seed=5, prompts=prompts)


@pytest.mark.parametrize("augmentation", ["paper", "strong"])
def test_a_sample_depends_on_seed_and_number_alone(folder: ImageMaskFolder, augmentation: Augmentation) -> None:
    first, second = (samples_of(folder, augmentation=augmentation) for _ in range(2))
    for number in reversed(range(12)):
        one, same = first[number], second[number]
        assert one.problems == same.problems == []
        for name in one._fields:
            values = zip(getattr(one, name), getattr(same, name), strict=True)
            assert all(np.array_equal(a, b) for a, b in values), name
        assert one.images[0] is not None and one.images[0].shape == (3, SIZE, SIZE)
        assert int(one.masks.max()) == 255
    images = [first[number].images[0] for number in range(2)]
    assert images[0] is not None and images[1] is not None and not torch.equal(images[0], images[1])


def test_an_epoch_has_every_pair_once_and_another_order_each_time(folder: ImageMaskFolder) -> None:
    source = AugmentedPairs([folder], SIZE, 2, seed=0)
    assert source.epoch_length == 4
    orders = [[source._place(epoch * 4 + place) for place in range(4)] for epoch in range(6)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_weights_say_how_often_a_pair_comes(folder: ImageMaskFolder) -> None:
    double, half = ImageMaskFolder("a", folder.pairs, 2.5), ImageMaskFolder("b", folder.pairs, 0.5)
    source = AugmentedPairs([double, half], SIZE, 1, seed=0)
    assert source.epoch_length == 12
    counts = np.bincount([source._place(number) for number in range(12)], minlength=8)
    assert sorted(counts[:4]) == [2, 2, 3, 3]
    assert sorted(counts[4:]) == [0, 0, 1, 1]


def test_fewer_pairs_than_a_batch_are_refused(folder: ImageMaskFolder) -> None:
    with pytest.raises(HqsamError, match="`batch_size`"):
        AugmentedPairs([folder], SIZE, 5, seed=0)


def test_two_processes_see_what_one_would() -> None:
    alone = step_batches(3, 5, 4)
    world = [step_batches(3, 5, 2, rank, 2) for rank in range(2)]
    assert [left + right for left, right in zip(*world, strict=True)] == alone


def test_the_jitter_keeps_image_and_mask_together() -> None:
    mask = np.zeros((60, 90), np.uint8)
    mask[20:50, 30:80] = 1
    image = np.stack([mask * np.uint8(200), np.full_like(mask, 7), mask], axis=2)
    scales = []
    for seed in range(60):
        frame, target = large_scale_jittered(np.random.default_rng(seed), image, mask, 64)
        inside = frame[..., 1] == 7
        assert np.abs(frame[..., 0] / 200 - target / 255)[inside].max() < 0.02
        assert not target[~inside].any()
        scales.append(inside.any(axis=0).sum() / 64)
    assert min(scales) < 0.3
    assert max(scales) == 1.0


def test_a_crop_without_the_object_is_drawn_again(tmp_path: Path) -> None:
    image, mask = np.full((200, 200, 3), 90, np.uint8), np.zeros((200, 200), np.uint8)
    mask[2:12, 2:12] = 255
    cv2.imwrite(str(tmp_path / "a.jpg"), image)
    cv2.imwrite(str(tmp_path / "a.png"), mask)
    pair = Pair("a", tmp_path / "a.jpg", tmp_path / "a.png")
    samples = samples_of(ImageMaskFolder("corner", [pair]), batch=1)
    assert all((samples[number].masks > 127).any() for number in range(40))


def test_paper_prompts_are_the_papers() -> None:
    mask = np.zeros((128, 128), np.uint8)
    mask[30:60, 40:100] = 255
    kinds = {"box": 0, "points": 0, "mask": 0}
    for seed in range(150):
        prompt = paper_prompt(np.random.default_rng(seed), mask)
        given = prompt.labels != ABSENT
        if prompt.has_coarse:
            kinds["mask"] += 1
            assert not given.any()
            assert set(np.unique(prompt.coarse)) == {0, 255}
            small = cv2.resize(mask, (32, 32), interpolation=cv2.INTER_AREA)
            assert ((prompt.coarse > 127) == (small > 127)).mean() > 0.6
        elif BOX_TOP_LEFT in prompt.labels:
            kinds["box"] += 1
            assert prompt.labels[given].tolist() == [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]
            assert prompt.points[given].tolist() == [[40, 30], [99, 59]]
        else:
            kinds["points"] += 1
            assert prompt.labels[given].tolist() == [FOREGROUND_POINT] * 10 + [PADDING_POINT]
            places = prompt.points[:10].astype(int)
            assert len({tuple(place) for place in places}) == 10
            assert all(mask[y, x] for x, y in places)
    assert min(kinds.values()) > 30


def test_an_object_of_three_pixels_gives_three_points() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[10, 20:23] = 255
    prompts = [paper_prompt(np.random.default_rng(seed), mask) for seed in range(30)]
    counts = {int((prompt.labels == FOREGROUND_POINT).sum()) for prompt in prompts if not prompt.has_coarse}
    assert counts == {0, 3}


def test_varied_prompts_are_of_the_object() -> None:
    mask = np.zeros((128, 128), np.uint8)
    mask[30:60, 40:100] = 255
    for seed in range(60):
        rng = np.random.default_rng(seed)
        box = varied_prompt(rng, mask, PromptMix(box=1.0, points=0.0, coarse=0.0))
        corners = box.points[(box.labels == BOX_TOP_LEFT) | (box.labels == BOX_BOTTOM_RIGHT)]
        assert np.abs(corners - [[40, 30], [100, 60]]).max() <= 0.2 * 60 + 1
        points = varied_prompt(rng, mask, PromptMix(box=0.0, points=1.0, coarse=0.0))
        for (x, y), label in zip(points.points.astype(int), points.labels, strict=True):
            if label in (0, 1):
                assert (mask[y, x] > 0) == (label == FOREGROUND_POINT)
        coarse = varied_prompt(rng, mask, PromptMix(box=0.0, points=0.0, coarse=1.0))
        assert coarse.has_coarse
        assert set(np.unique(coarse.coarse)) <= {0, 255}


def test_a_batch_of_prompts_is_as_long_as_its_longest(folder: ImageMaskFolder) -> None:
    batch = next(iter(DataLoader(samples_of(folder), batch_sampler=step_batches(0, 1, 8), collate_fn=collate)))
    prompts = prompt_batch(batch)
    assert prompts.labels.shape == (8, int((batch.labels != ABSENT).sum(1).max()))


def test_prompts_of_one_image_are_of_objects_in_it(folder: ImageMaskFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hqsam_cli.training.data.STRONG", Strength(mosaic=1.0, component=0.0))
    monkeypatch.setattr("hqsam_cli.training.data.varied_prompt", partial(varied_prompt, mix=PromptMix(1.0, 0.0, 0.0)))
    samples = samples_of(folder, augmentation="strong", prompts=3)
    batch = collate([samples[number] for number in range(6)])
    prompts = prompt_batch(batch)
    assert len(batch.images) == 6
    assert prompts.image_index.tolist() == [i // 3 for i in range(18)]
    for mask, corners in zip(batch.masks, prompts.points, strict=True):
        y, x = torch.nonzero(mask > 127, as_tuple=True)
        tight = torch.stack([torch.stack([x.min(), y.min()]), torch.stack([x.max(), y.max()]) + 1])
        sides = (tight[1] - tight[0]).clamp(min=1)
        assert ((corners - tight).abs() <= 0.2 * sides + 1).all()
    different = [len({mask.numpy().tobytes() for mask in masks}) for masks in batch.masks.unflatten(0, (6, 3))]
    assert max(different) > 1


def test_objects_in_the_cells_of_a_mosaic_keep_their_pixels() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((80, 100), np.uint8)
    mask[20:60, 30:70] = 1
    shades = [np.uint8(50), np.uint8(100), np.uint8(150), np.uint8(200)]
    images = [np.repeat((mask * shade)[..., None], 3, axis=2) for shade in shades]
    grid, masks = mosaic(rng, images[0], mask, [(image, mask) for image in images[1:]])
    found = 0
    for shade in shades:
        region = np.abs(grid[..., 0].astype(int) - int(shade)) < 3
        if region.sum() > 200:
            overlaps = [(region & (seen > 0)).sum() / (region | (seen > 0)).sum() for seen in masks]
            assert max(overlaps) > 0.85
            found += 1
    assert found > 1
    assert np.sum(masks, axis=0).max() == 1


def test_bad_pairs_are_replaced_and_named(folder: ImageMaskFolder, tmp_path: Path) -> None:
    broken, empty = tmp_path / "broken.jpg", tmp_path / "empty.png"
    broken.write_bytes(b"no photo")
    _, image, mask, *_ = folder.pairs[0]
    cv2.imwrite(str(empty), np.zeros((120, 160), np.uint8))
    mixed = ImageMaskFolder("mixed", [Pair("b", broken, mask), Pair("e", image, empty), *folder.pairs])
    samples = samples_of(mixed)
    found = [samples[number] for number in range(6)]
    problems = {text for sample in found for text in sample.problems}
    assert all(any(name in text for text in problems) for name in ("broken.jpg", "empty.png"))
    assert all((sample.masks > 127).any() for sample in found)
    hopeless = Samples(AugmentedPairs([ImageMaskFolder("bad", [Pair("b", broken, mask)])], SIZE, 1, seed=0), seed=0)
    with pytest.raises(HqsamError, match=r"in a row.*broken\.jpg"):
        hopeless[0]


def test_a_matte_brings_no_old_background_along() -> None:
    """A red disc with a soft edge on green, put on blue: nowhere is it green."""
    y, x = np.mgrid[:120, :160]
    alpha = np.clip(40 - np.hypot(y - 60, x - 80), 0, 12) / 12
    image = (alpha[..., None] * [220, 0, 0] + (1 - alpha[..., None]) * [0, 220, 0]).astype(np.uint8)
    blue = np.full((50, 50, 3), (0, 0, 220), np.uint8)
    matte = np.round(alpha * 255).astype(np.uint8)
    mixed, mask = composite(np.random.default_rng(0), image, matte, blue)
    assert np.array_equal(mask, matte > 128)
    expected = alpha[..., None] * [220, 0, 0] + (1 - alpha[..., None]) * [0, 0, 220]
    assert np.abs(mixed - expected).max() < 40
    assert mixed[..., 1].max() < 40


def test_loose_prompts_are_boxes_off_the_object_or_around_two() -> None:
    masks = [np.zeros((SIZE, SIZE), np.uint8) for _ in range(2)]
    masks[0][10:30, 10:20], masks[1][40:60, 45:60] = 255, 255
    boxes = [loose_prompt(np.random.default_rng(seed), masks[0], masks).points[:2].ravel() for seed in range(60)]
    alone = [box for box in boxes if box[2] < 40]
    assert 20 < len(alone) < 60
    assert all(np.all(np.abs(box - [10, 10, 20, 30]) <= 0.34 * np.array([10, 20, 10, 20])) for box in alone)
    assert all(box[2] >= 60 and box[3] >= 60 for box in boxes if box[2] >= 40)
