"""Masks as tools write them: read as anybody would read them, or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqsam_cli.errors import ImageError
from hqsam_cli.io.masks import read_mask, read_mask_values, read_matte

OBJECT = np.zeros((40, 60), bool)
OBJECT[10:30, 20:45] = True
GRAY = OBJECT.astype(np.uint8) * 255
CORNER = np.full_like(GRAY, 255)
CORNER[0, :9] = 0
PHOTO = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)


def colored(inside: tuple[int, ...], outside: tuple[int, ...]) -> np.ndarray:
    return np.where(OBJECT[..., None], np.array(inside, np.uint8), np.array(outside, np.uint8))


def palette(inside: int, outside: int, colors: list[int]) -> Image.Image:
    image = Image.fromarray(np.where(OBJECT, inside, outside).astype(np.uint8), "P")
    image.putpalette(colors)
    return image


def with_transparency(image: Image.Image, index: int) -> Image.Image:
    image.info["transparency"] = index
    return image


MASKS = {
    "gray.png": Image.fromarray(GRAY),
    "one.png": Image.fromarray(GRAY // 255),
    "class 38.png": Image.fromarray(GRAY // 255 * np.uint8(38)),
    "bilevel.png": Image.fromarray(OBJECT),
    "bilevel.tif": Image.fromarray(OBJECT),
    "jpeg.jpg": Image.fromarray(GRAY),
    "color.jpg": Image.fromarray(colored((255, 255, 255), (0, 0, 0))),
    "green.png": Image.fromarray(colored((0, 100, 0), (0, 0, 0))),
    "red.jpg": Image.fromarray(colored((255, 0, 0), (0, 0, 0))),
    "dark red.jpg": Image.fromarray(colored((128, 0, 0), (0, 0, 0))),
    "gray 120.jpg": Image.fromarray(GRAY // 255 * np.uint8(120)),
    "gray 135.jpg": Image.fromarray(GRAY // 255 * np.uint8(135)),
    "corner.png": Image.fromarray(np.dstack([GRAY, GRAY, GRAY, CORNER])),
    "deep.png": Image.fromarray(GRAY.astype(np.uint16) * 257),
    "deep 255.png": Image.fromarray(GRAY.astype(np.uint16)),
    "deep id.png": Image.fromarray(OBJECT.astype(np.uint16) * 700),
    "share.tif": Image.fromarray(OBJECT.astype(np.float32)),
    "whole.tif": Image.fromarray(OBJECT.astype(np.int32) * 70_000),
    "opaque.png": Image.fromarray(np.dstack([GRAY, GRAY, GRAY, np.full_like(GRAY, 255)])),
    "clear.png": Image.fromarray(np.dstack([GRAY, GRAY, GRAY, np.zeros_like(GRAY)])),
    "cut-out.png": Image.fromarray(np.dstack([PHOTO, GRAY])),
    "veil.png": Image.fromarray(np.dstack([PHOTO, GRAY // 2])),
    "gray alpha.png": Image.fromarray(np.dstack([np.full_like(GRAY, 255), GRAY]), "LA"),
    "voc.png": palette(1, 0, [0, 0, 0, 128, 0, 0]),
    "black second.png": palette(0, 1, [255, 0, 0, 0, 0, 0]),
    "white first.png": palette(0, 1, [255, 255, 255, 0, 0, 0]),
    "transparent.png": with_transparency(palette(0, 1, [10, 20, 30, 200, 220, 240]), 1),
}


@pytest.mark.parametrize("name", MASKS)
def test_the_object_is_what_anybody_would_say(tmp_path: Path, name: str) -> None:
    MASKS[name].save(tmp_path / name, quality=90)
    wrong = np.count_nonzero(read_mask(tmp_path / name) ^ OBJECT)
    assert wrong == 0 if not name.endswith("jpg") else wrong < 20


IDS = np.zeros((40, 60), np.uint8)
IDS[2:8, 2:8], IDS[10:30, 20:45], IDS[32:38, 40:50] = 1, 2, 3


def with_colors(indices: np.ndarray) -> Image.Image:
    image = Image.fromarray(indices, "P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    return image


ALIKE = np.array([[0, 0, 0], [255, 0, 0], [255, 64, 0], [0, 0, 0]], np.uint8)


def with_void(void: int) -> np.ndarray:
    """An object of 1 with a rim that is not to count."""
    inner = np.zeros_like(OBJECT)
    inner[12:28, 22:43] = True
    return np.where(inner, 1, np.where(OBJECT, void, 0))


OTHERS = {
    "ids.png": (Image.fromarray(IDS), "map of several instances"),
    "deep ids.png": (Image.fromarray(IDS.astype(np.uint16)), "map of several instances"),
    "sparse ids.png": (Image.fromarray(IDS.astype(np.uint16) * 300), "map of several instances"),
    "many ids.png": (Image.fromarray(np.arange(160, dtype=np.uint8).reshape(10, 16)), "map of several instances"),
    "void.png": (Image.fromarray(with_void(255).astype(np.uint8)), "map of several instances"),
    "deep void.png": (Image.fromarray(with_void(65535).astype(np.uint16)), "map of several instances"),
    "trimap.png": (Image.fromarray(np.array([0, 128, 255, 255], np.uint8)[IDS]), "map of several instances"),
    "levels.png": (Image.fromarray(np.array([0, 85, 170, 255], np.uint8)[IDS]), "map of several instances"),
    "few green.png": (
        Image.fromarray(np.where(IDS[..., None] == 1, (0, 255, 0), colored((255, 0, 0), (0, 0, 0))).astype(np.uint8)),
        "several colors",
    ),
    "alike.png": (Image.fromarray(ALIKE[IDS]), "several colors"),
    "palette.png": (Image.fromarray(IDS).quantize(4), "map of several instances"),
    "colored palette.png": (with_colors(IDS), "palette of 4 classes"),
    "colors.png": (
        Image.fromarray(np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)[IDS]),
        "several colors",
    ),
    "no black.png": (Image.fromarray(colored((255, 0, 0), (0, 0, 255))), "neither of them black"),
    "photo.png": (Image.fromarray(PHOTO), "several colors"),
    "two.png": (Image.fromarray(np.where(OBJECT, 2, 1).astype(np.uint8)), "neither of which is 0"),
    "nan.tif": (Image.fromarray(np.full((4, 4), np.nan, np.float32)), "NaN or infinity"),
}


def many_ids(count: int, side: int = 3) -> np.ndarray:
    """Ids from 1 in squares apart from each other."""
    columns = 25
    ids = np.zeros((-(-count // columns) * (side + 1), columns * (side + 1)), np.uint16)
    for number in range(count):
        y, x = (side + 1) * (number // columns), (side + 1) * (number % columns)
        ids[y : y + side, x : x + side] = number + 1
    return ids


LABELS = np.kron(np.random.default_rng(1).permutation(2000)[:1200].reshape(30, 40), np.ones((4, 4))).astype(np.uint16)
OTHERS |= {
    "own ids.png": (Image.fromarray(many_ids(230)), "map of several instances"),
    "many deep ids.png": (Image.fromarray(many_ids(900)), "map of several instances"),
    "small ids.png": (Image.fromarray(many_ids(120, 2) * np.uint16(2)), "map of several instances"),
    "byte ids.png": (Image.fromarray(many_ids(254).astype(np.uint8)), "map of several instances"),
    "segments.png": (Image.fromarray(LABELS), "map of several instances"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_mask_of_one_object_is_refused_by_name(tmp_path: Path, name: str) -> None:
    image, reason = OTHERS[name]
    image.save(tmp_path / name)
    with pytest.raises(ImageError, match=reason) as caught:
        read_mask(tmp_path / name)
    assert name in str(caught.value) and "mask" in str(caught.value)


def test_soft_edges_stay_soft(tmp_path: Path) -> None:
    soft = np.clip(np.linspace(-100, 400, 60 * 40), 0, 255).astype(np.uint8).reshape(40, 60)
    Image.fromarray(soft).save(tmp_path / "soft.png")
    assert np.array_equal(read_mask_values(tmp_path / "soft.png"), soft)
    Image.fromarray(soft.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert np.array_equal(read_mask_values(tmp_path / "deep.png"), soft)


def test_probabilities_are_no_ids(tmp_path: Path) -> None:
    """Edges of one value, thin lines, and gradients so wide that values repeat, up to any maximum."""
    edge = np.pad(np.pad(np.full((20, 20), 255, np.uint8), 1, constant_values=128), 9)
    line = np.where(np.eye(60, dtype=bool), 90, GRAY[:, :1].repeat(60, 1)[:40].repeat(2, 0)[:60]).astype(np.uint8)
    wide = np.tile(np.clip(np.arange(2000) / 4 - 100, 0, 255).astype(np.uint8), (50, 1))
    disk = np.clip(200 - np.hypot(*np.mgrid[-250:250, -250:250]), 0, 180).astype(np.uint8)
    for name, values in {"edge": edge, "line": line, "wide": wide, "faint": disk + disk // 4 * (disk > 90)}.items():
        Image.fromarray(values).save(tmp_path / "m.png")
        assert read_mask_values(tmp_path / "m.png").any(), name


def test_an_empty_mask_is_empty_and_a_full_one_full(tmp_path: Path) -> None:
    for value in (0, 1, 255):
        Image.fromarray(np.full((4, 4), value, np.uint8)).save(tmp_path / "m.png")
        assert (read_mask(tmp_path / "m.png") == (value > 0)).all()


def test_mattes_are_as_they_are(tmp_path: Path) -> None:
    Image.fromarray(GRAY // 2).save(tmp_path / "a.png")
    assert np.array_equal(read_matte(tmp_path / "a.png"), GRAY // 2)
