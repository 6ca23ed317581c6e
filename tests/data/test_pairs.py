"""Finding pairs in folders, and reading them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqsam_cli.data.pairs import HQSEG_44K, Pair, hqseg_folders, pair_folder, read_alpha, read_pair
from hqsam_cli.errors import ImageError, NoInputError


def write(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path)
    return path


@pytest.fixture
def square() -> np.ndarray:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 10:20] = 255
    return mask


@pytest.mark.parametrize("images, masks", [("images", "masks"), ("im", "gt"), (".", ".")])
def test_each_layout_is_known(tmp_path: Path, square: np.ndarray, images: str, masks: str) -> None:
    for stem in ("b", "a"):
        write(tmp_path / images / f"{stem}.jpg", np.repeat(square[..., None], 3, axis=2))
        write(tmp_path / masks / f"{stem}.png", square)
    write(tmp_path / images / "lonely.jpg", square)
    found = pair_folder(tmp_path, 2.0)
    assert [Path(pair.image).name for pair in found.pairs] == ["a.jpg", "b.jpg"]
    assert [Path(pair.mask).name for pair in found.pairs] == ["a.png", "b.png"]
    assert [Path(image).name for image in found.missing] == ["lonely.jpg"]
    assert found.weight == 2.0


def test_a_folder_without_pairs_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=tmp_path.name):
        pair_folder(tmp_path)


def test_sets_of_hqseg_are_found_and_missing_ones_named(tmp_path: Path, square: np.ndarray) -> None:
    for _, images, masks in HQSEG_44K[1:3]:
        write(tmp_path / images / "x.jpg", square)
        write(tmp_path / masks / "x.png", square)
    found, absent = hqseg_folders(tmp_path)
    assert [own.name for own in found] == ["ThinObject5K-TR", "FSS"]
    assert absent == [str(tmp_path / images) for _, images, _ in (HQSEG_44K[0], *HQSEG_44K[3:])]
    with pytest.raises(NoInputError, match="DIS5K"):
        hqseg_folders(tmp_path / "nowhere")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_images_of_any_kind_are_rgb(tmp_path: Path, square: np.ndarray, mode: str) -> None:
    image = write(tmp_path / "i.png", np.repeat(square[..., None], 3, axis=2), mode)
    mask = write(tmp_path / "m.png", square)
    pixels, truth = read_pair(Pair(str(image), str(mask)))
    assert pixels.shape == (20, 30, 3)
    assert pixels.dtype == truth.dtype == np.uint8
    assert np.array_equal(truth, square // 255)


@pytest.mark.parametrize("stored", [1, 255])
def test_masks_of_zero_and_one_are_masks_too(tmp_path: Path, square: np.ndarray, stored: int) -> None:
    image = write(tmp_path / "i.png", square)
    mask = write(tmp_path / "m.png", square // 255 * np.uint8(stored))
    assert read_pair(Pair(str(image), str(mask)))[1].sum() == 100


def test_pairs_of_no_use_say_why(tmp_path: Path, square: np.ndarray) -> None:
    image = str(write(tmp_path / "i.png", square))
    cases = {
        "an empty mask": write(tmp_path / "empty.png", square * 0),
        "30 x 20": write(tmp_path / "small.png", square[:10]),
        "no such file": tmp_path / "gone.png",
    }
    for words, mask in cases.items():
        with pytest.raises(ImageError, match=words) as error:
            read_pair(Pair(image, str(mask)))
        assert mask.name in str(error.value)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no photo")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        read_pair(Pair(str(broken), str(tmp_path / "empty.png")))


def test_mattes_lie_beside_the_masks_and_are_of_their_images(tmp_path: Path, square: np.ndarray) -> None:
    for stem in ("a", "b"):
        write(tmp_path / "images" / f"{stem}.jpg", np.repeat(square[..., None], 3, axis=2))
        write(tmp_path / "masks" / f"{stem}.png", square)
    write(tmp_path / "alpha" / "a.png", square // 2)
    first, second = pair_folder(tmp_path).pairs
    assert first.alpha is not None
    assert second.alpha is None
    assert np.array_equal(read_alpha(first.alpha, square.shape), square // 2)
    with pytest.raises(ImageError, match=r"a\.png: of another size"):
        read_alpha(first.alpha, (20, 31))
