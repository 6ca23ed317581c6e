"""Cut-outs and crops, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from hqsam_cli.formats.cutouts import CropWriter, CutoutWriter, object_alpha
from hqsam_cli.formats.image_writer import ImageResult
from hqsam_cli.io.output_folder import ImageFiles
from hqsam_cli.records import ImageRecord, Instance, MaskCrop, ProbabilityCrop, Prompt

WIDTH, HEIGHT = 60, 40
PHOTO = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
BITS = np.random.default_rng(1).random((12, 20)) < 0.7
BITS[0, 0] = BITS[-1, -1] = True
MASK = MaskCrop(BITS, 25, 10, WIDTH, HEIGHT)


def written(writer: CutoutWriter | CropWriter, *instances: Instance) -> list[np.ndarray]:
    annotations = [instance.to_coco(1) for instance in instances]
    writer.write(ImageResult(ImageRecord("sub/a.jpg", 1, (WIDTH, HEIGHT), annotations), list(instances), PHOTO))
    assert writer.is_complete("sub/a.jpg", len(instances))
    assert isinstance(writer.path, Path)
    pictures = []
    for annotation in annotations:
        with Image.open(writer.path / "sub/a.jpg" / f"{annotation['id']}.png") as image:
            pictures.append(np.asarray(image))
    writer.remove("sub/a.jpg", ImageFiles())
    assert not (writer.path / "sub/a.jpg").exists()
    return pictures


def test_a_cutout_is_the_photo_and_nothing_around_it(tmp_path: Path) -> None:
    (picture,) = written(CutoutWriter(tmp_path, []), Instance(Prompt(7), MASK, 0.9))
    assert picture.shape == (HEIGHT, WIDTH, 4)
    assert np.array_equal(picture[..., :3], PHOTO)
    assert np.array_equal(picture[..., 3] == 255, MASK.full()) and set(np.unique(picture[..., 3])) == {0, 255}


def test_a_color_is_around_what_is_cut_out(tmp_path: Path) -> None:
    (picture,) = written(CutoutWriter(tmp_path, [], background=(255, 0, 9)), Instance(Prompt(7), MASK, 0.9))
    assert np.array_equal(picture, np.where(MASK.full()[..., None], PHOTO, (255, 0, 9)))


def test_crops_are_the_tight_box(tmp_path: Path) -> None:
    empty = MaskCrop(np.zeros((0, 0), bool), 0, 0, WIDTH, HEIGHT)
    instances = (
        Instance(Prompt(7), MASK, 0.9),
        Instance(Prompt(8, box=(3.5, 4, 9.2, 8)), empty, 0.1),
        Instance(Prompt(9), empty, 0.1),
    )
    first, asked, whole = written(CropWriter(tmp_path, []), *instances)
    assert np.array_equal(first, PHOTO[10:22, 25:45])
    assert np.array_equal(asked, PHOTO[4:8, 3:10])
    assert np.array_equal(whole, PHOTO)
    (colored,) = written(CropWriter(tmp_path, [], background=(1, 2, 3)), instances[0])
    assert np.array_equal(colored, np.where(BITS[..., None], PHOTO[10:22, 25:45], (1, 2, 3)))


def test_half_transparent_pixels_have_the_color_of_the_object(tmp_path: Path) -> None:
    """A red object on green: both are in its soft border, and only red is in its cut-out."""
    side = 640
    values = cv2.blur(np.pad(np.full((320, 320), 255, np.uint8), 160), (15, 15))
    share = values[..., None] / 255
    photo = np.rint(share * (220, 30, 40) + (1 - share) * (20, 200, 60)).astype(np.uint8)
    mask = MaskCrop.whole(values >= 128)
    instance = Instance(Prompt(1), mask, 0.9, probabilities=ProbabilityCrop(values, 0, 0))
    alpha = object_alpha(instance)
    mixed = (alpha > 60) & (alpha < 255)
    assert np.abs(photo[mixed].astype(int) - (220, 30, 40)).mean() > 40
    bgra = CutoutWriter(tmp_path, []).part(photo, instance)
    assert np.abs(bgra[mixed][:, 2::-1].astype(int) - (220, 30, 40)).mean() < 8
    assert np.array_equal(bgra[alpha == 255][:, 2::-1], photo[alpha == 255]) and bgra.shape == (side, side, 4)
    x, y, w, h = mask.tight_box()
    on_blue = CropWriter(tmp_path, [], background=(0, 0, 255)).part(photo, instance)[..., ::-1]
    assert on_blue.shape == (h, w, 3)
    green = on_blue[..., 1][mixed[y : y + h, x : x + w]]
    assert green.max() <= 34  # 59 if the photo is mixed as it is


def soft(values: Any, bits: Any) -> np.ndarray:
    """The alpha of one row of pixels."""
    row = np.array([values], np.uint8)
    mask = MaskCrop(np.array([bits], bool), 0, 0, row.shape[1], 1)
    return object_alpha(Instance(Prompt(1), mask, 0.9, probabilities=ProbabilityCrop(row, 0, 0)))[0]


def test_soft_borders_are_as_opaque_as_the_model_is_sure() -> None:
    assert soft([0, 60, 128, 250, 90, 0], [0, 0, 1, 1, 0, 0]).tolist() == [0, 60, 128, 250, 90, 0]


@pytest.mark.parametrize(
    ("values", "bits", "expected"),
    [
        ([20, 200, 20, 0, 255, 255], [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 255, 255]),  # a part that was dropped
        ([255, 200, 30, 200, 255, 255], [1, 1, 1, 1, 1, 1], [255, 200, 255, 200, 255, 255]),  # a hole that was filled
    ],
)
def test_the_mask_has_the_last_word(values: list[int], bits: list[int], expected: list[int]) -> None:
    assert soft(values, bits).tolist() == expected
