"""What a teacher sees in a frame, and what a student is given of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hqsam_cli.errors import HqsamError, NoInputError
from hqsam_cli.models.checkpoints import load_model
from hqsam_cli.models.hub import checkpoint_path
from hqsam_cli.models.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT
from hqsam_cli.models.sam import PIXEL_MEAN
from hqsam_cli.training.augment import AugmentConfig
from hqsam_cli.training.data import CompositeSource, PromptedMasks, collated
from hqsam_cli.training.layouts import PairFolder
from hqsam_cli.training.lessons import (
    EmbeddingCrops,
    Lessons,
    LessonsAndPhotos,
    lesson_numbers,
    read_embedding,
    read_objects,
)
from hqsam_cli.training.prompts import PromptMix
from hqsam_cli.training.teacher import (
    SIDE,
    different_and_trusted,
    lesson_paths,
    mosaic_frame,
    photo_frame,
    read_frame,
    write_lesson,
)

BOXES = PromptMix(box=1.0, points=0.0, coarse=0.0)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_a_photo_is_framed_as_for_inference() -> None:
    image, mask = np.full((300, 200, 3), 7, np.uint8), np.zeros((300, 200), np.uint8)
    mask[150:, :100] = 1
    frame, (target,) = photo_frame(image, mask)
    inner = round(SIDE * 200 / 300)
    assert (frame[:, :inner] == 7).all()
    assert (frame[:, inner:] == np.round(PIXEL_MEAN)).all()
    whole = np.zeros((SIDE, SIDE), bool)
    whole[SIDE // 2 :, : inner // 2] = True
    assert iou(target > 0, whole) > 0.99


def test_every_cell_of_a_mosaic_holds_its_photo_and_its_mask() -> None:
    pairs = [(np.full((60, 80 + n, 3), 20 * n, np.uint8), np.ones((60, 80 + n), np.uint8)) for n in range(9)]
    frame, masks = mosaic_frame(np.random.default_rng(0), pairs, 3)
    side = SIDE // 3
    for place, mask in enumerate(masks):
        y, x = (side * n for n in divmod(place, 3))
        assert (frame[y : y + side, x : x + side] == 20 * place).all()
        assert mask[y : y + side, x : x + side].all()
        assert mask.sum() == side**2


def test_of_each_object_the_best_mask_is_kept_and_none_that_is_not_trusted() -> None:
    logits = torch.full((6, 64, 64), -9.0)
    logits[0, :20, :20] = 9
    logits[1, :20, :21] = 9  # the same object, better
    logits[2, 30:50, 30:50] = 9
    logits[3, 30:50, :20] = 9  # low estimate
    logits[4, :20, 30:50] = 0.5  # gone at a higher threshold
    logits[5, 60:, 60:] = 9  # too small
    estimates = torch.tensor([0.9, 0.95, 0.97, 0.8, 0.99, 0.99])
    assert different_and_trusted(logits, estimates).tolist() == [2, 1]
    assert different_and_trusted(logits[3:4], estimates[3:4]).tolist() == []


def test_a_lesson_holds_the_masks_of_the_data(lessons: Path, folder: PairFolder) -> None:
    assert lesson_numbers(lessons) == list(range(6))
    for number, (_, path) in enumerate(folder.pairs):
        objects = read_objects(lessons, number)
        assert objects.truth.sum() == 1
        mask = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        wanted = np.zeros((32, 32), bool)
        wanted[:24] = cv2.resize(mask, (32, 24), interpolation=cv2.INTER_AREA) > 127  # 160 x 120
        assert iou(objects.masks[objects.truth][0], wanted) > 0.9


def test_a_crop_has_the_embedding_of_its_place(lessons: Path) -> None:
    crops = EmbeddingCrops(lessons, 64, seed=3)
    places = set()
    for number in range(8):
        item = crops[number]
        assert torch.equal(item["image"], crops[number]["image"])  # the same again after a stop
        image, embedding = item["image"].permute(1, 2, 0).numpy(), item["embedding"][0].numpy()
        found = [
            (lesson, y, x)
            for lesson in range(6)
            for y in (0, 32, 64)
            for x in (0, 32, 64)
            if np.array_equal(read_frame(lesson_paths(lessons, lesson)[0])[y : y + 64, x : x + 64], image)
        ]
        assert any(
            np.array_equal(read_embedding(lessons, lesson)[y // 16 : y // 16 + 4, x // 16 : x // 16 + 4], embedding)
            for lesson, y, x in found
        )
        places.add(found[0])
    assert len(places) > 3


def test_prompts_of_a_lesson_are_of_its_objects(lessons: Path) -> None:
    samples = Lessons(lessons, 4, BOXES, seed=0)
    for number in range(6):
        item = samples[number]
        assert item["mask"].shape == (4, 32, 32)
        assert item["embedding"].shape == (1, 8, 8, 256)
        for mask, points, labels in zip(item["mask"], item["points"], item["labels"], strict=True):
            assert labels[:2].tolist() == [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]
            rows, columns = np.nonzero(mask.numpy())
            tight = 4 * np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            sides = np.tile(tight[2:] - tight[:2], 2)
            assert (np.abs(points[:2].ravel().numpy() - tight) <= 0.2 * sides + 1).all()


def test_a_lesson_that_is_there_stays(lessons: Path, folder: PairFolder, tmp_path: Path) -> None:
    mine = shutil.copytree(lessons, tmp_path / "lessons")
    before = lesson_paths(mine, 0)[2].stat().st_mtime_ns
    write_lesson(load_model(checkpoint_path("lite")), folder.pairs, 0, mine, seed=0)
    assert lesson_paths(mine, 0)[2].stat().st_mtime_ns == before


def test_what_is_missing_or_damaged_is_named(lessons: Path, tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="teacher"):
        lesson_numbers(tmp_path)
    mine = shutil.copytree(lessons, tmp_path / "lessons")
    lesson_paths(mine, 2)[0].write_bytes(b"torn")
    with pytest.raises(HqsamError, match=r"000002\.jpg"):
        read_frame(lesson_paths(mine, 2)[0])


def test_lessons_and_photos_come_in_turn_and_make_one_batch(lessons: Path, folder: PairFolder) -> None:
    taught = Lessons(lessons, 2, BOXES, seed=0)
    photos = PromptedMasks(CompositeSource([folder], 128, BOXES, AugmentConfig(), 2), seed=0)
    samples = LessonsAndPhotos(taught, photos)
    batch = collated([samples[number] for number in range(4)])
    assert batch["taught"].tolist() == [True, False, True, False]
    assert torch.equal(batch["image"][2], taught[1]["image"])
    assert torch.equal(batch["image"][3], photos[1]["image"])
    assert not batch["embedding"][1].any()
    # A soft mask covers as much as the one it was made of, however thin that is.
    share = photos[1]["mask"].float().mean(dim=(1, 2)) / 255
    assert torch.allclose(batch["mask"][6:].float().mean(dim=(1, 2)) / 255, share, atol=1e-3)
