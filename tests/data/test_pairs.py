"""Finding pairs in folders, and reading them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqsam_cli.configs import Exif
from hqsam_cli.data.pairs import Pair, find_pairs, read_alpha, read_pair
from hqsam_cli.data.sets import DATASETS, HQSEG_44K, hqseg_folders
from hqsam_cli.errors import ImageError, NoInputError
from hqsam_cli.io.images import TURNS
from hqsam_cli.io.masks import read_mask, read_mask_values


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
    found = find_pairs(tmp_path, 2.0)
    assert [pair.image.name for pair in found.pairs] == ["a.jpg", "b.jpg"]
    assert [pair.mask.name for pair in found.pairs] == ["a.png", "b.png"]
    assert [image.name for image in found.missing] == ["lonely.jpg"]
    assert found.weight == 2.0


def test_a_folder_without_pairs_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=tmp_path.name):
        find_pairs(tmp_path)


def test_sets_of_hqseg_are_found_and_missing_ones_named(tmp_path: Path, square: np.ndarray) -> None:
    for key in HQSEG_44K[1:3]:
        write(tmp_path / DATASETS[key].images / "x.jpg", square)
        write(tmp_path / DATASETS[key].gt / "x.png", square)
    found, absent = hqseg_folders(tmp_path)
    assert [own.name for own in found] == ["ThinObject5K-TR", "FSS"]
    assert absent == [str(tmp_path / DATASETS[key].images) for key in (HQSEG_44K[0], *HQSEG_44K[3:])]
    with pytest.raises(NoInputError, match="DIS5K"):
        hqseg_folders(tmp_path / "nowhere")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_images_of_any_kind_are_rgb(tmp_path: Path, square: np.ndarray, mode: str) -> None:
    image = write(tmp_path / "i.png", np.repeat(square[..., None], 3, axis=2), mode)
    mask = write(tmp_path / "m.png", square)
    pixels, gt = read_pair(Pair("i", image, mask))
    assert pixels.shape == (20, 30, 3)
    assert pixels.dtype == gt.dtype == np.uint8
    assert np.array_equal(gt, square)


@pytest.mark.parametrize("stored", [1, 255])
def test_masks_of_zero_and_one_are_masks_too(tmp_path: Path, square: np.ndarray, stored: int) -> None:
    image = write(tmp_path / "i.png", square)
    mask = write(tmp_path / "m.png", square // 255 * np.uint8(stored))
    assert np.array_equal(read_pair(Pair("i", image, mask))[1], square)


def test_pairs_of_no_use_say_why(tmp_path: Path, square: np.ndarray) -> None:
    image = write(tmp_path / "i.png", square)
    cases = {
        "the mask is empty": write(tmp_path / "empty.png", square * 0),
        "30x10": write(tmp_path / "small.png", square[:10]),
        "missing": tmp_path / "gone.png",
    }
    for words, mask in cases.items():
        with pytest.raises(ImageError, match=words) as error:
            read_pair(Pair("i", image, mask))
        assert mask.name in str(error.value)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no photo")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        read_pair(Pair("i", broken, tmp_path / "empty.png"))


def test_mattes_lie_beside_the_masks_and_are_of_their_images(tmp_path: Path, square: np.ndarray) -> None:
    for stem in ("a", "b"):
        write(tmp_path / "images" / f"{stem}.jpg", np.repeat(square[..., None], 3, axis=2))
        write(tmp_path / "masks" / f"{stem}.png", square)
    write(tmp_path / "alpha" / "a.png", square // 2)
    first, second = find_pairs(tmp_path).pairs
    assert first.alpha is not None
    assert second.alpha is None
    assert np.array_equal(read_alpha(first.alpha, np.zeros((20, 30, 3))), square // 2)
    with pytest.raises(ImageError, match=r"a\.png: the mask is 30x20, its image 31x20"):
        read_alpha(first.alpha, np.zeros((20, 31, 3)))


def turned_photo(path: Path, upright: np.ndarray, orientation: int) -> Path:
    """A photo that a viewer shows as `upright`, stored in another orientation."""
    image = Image.fromarray(upright)
    stored = image.transpose(TURNS[orientation][1])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    stored.save(path, exif=exif, quality=100)
    return path


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("drawn_on", ["stored", "upright"])
def test_a_photo_and_its_mask_are_turned_together(tmp_path: Path, orientation: int, drawn_on: str) -> None:
    """Where sizes are equal (2, 3 and 4, a square) nothing tells, and `exif` decides."""
    upright = np.zeros((40, 64, 3), np.uint8)
    upright[4:12, 6:30] = 255
    photo = turned_photo(tmp_path / "i.jpg", upright, orientation)
    mask = Image.fromarray(upright[..., 0])
    if drawn_on == "stored":
        mask = mask.transpose(TURNS[orientation][1])
    mask.save(tmp_path / "m.png")
    undecided: Exif = "ignore" if drawn_on == "stored" else "apply"
    image, values = read_pair(Pair("i", photo, tmp_path / "m.png", exif=undecided))
    bright = image.min(axis=2) > 128
    assert np.count_nonzero(bright ^ (values > 128)) < 20


def test_masks_of_any_kind_are_read_alike(tmp_path: Path, square: np.ndarray) -> None:
    colored = np.zeros((20, 30, 3), np.uint8)
    colored[..., 1] = square
    cut_out = np.dstack([np.full((20, 30, 3), 200, np.uint8), square])
    palette = Image.fromarray(square // 255, "P")
    palette.putpalette([0, 0, 0, 128, 0, 0])
    palette.save(tmp_path / "palette.png")
    files = [
        write(tmp_path / "gray.png", square),
        write(tmp_path / "one.png", square // 255),
        write(tmp_path / "bits.png", square, "1"),
        write(tmp_path / "color.png", colored),
        write(tmp_path / "cut_out.png", cut_out),
        write(tmp_path / "deep.png", square.astype(np.uint16) * 257),
        tmp_path / "palette.png",
    ]
    for file in files:
        assert np.array_equal(read_mask(file), square > 0), file.name


def test_a_mask_is_refused_as_a_photo_is(tmp_path: Path, square: np.ndarray) -> None:
    """Over the limit of pixels, and cut off: one sentence each."""
    with pytest.raises(ImageError, match=r"large\.png: over the limit of 599 pixels"):
        read_mask_values(write(tmp_path / "large.png", square), max_pixels=599)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    data = write(tmp_path / "noise.png", noise).read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"cut\.png: broken image"):
        read_mask_values(tmp_path / "cut.png")


def test_a_tiff_mask_is_read_as_it_is_stored(tmp_path: Path, square: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(square).convert("RGB").save(tmp_path / "m.tif", exif=exif)
    assert np.array_equal(read_mask_values(tmp_path / "m.tif"), square)


def test_where_sizes_tell_the_option_does_not_matter(tmp_path: Path) -> None:
    upright = np.zeros((40, 64, 3), np.uint8)
    upright[4:12, 6:30] = 255
    photo = turned_photo(tmp_path / "i.jpg", upright, 6)
    write(tmp_path / "m.png", upright[..., 0])
    first, second = [read_pair(Pair("i", photo, tmp_path / "m.png", exif=exif))[0] for exif in ("apply", "ignore")]
    assert np.array_equal(first, second) and first.shape == upright.shape


def test_masks_of_any_kind_of_file_belong_to_their_images(tmp_path: Path, square: np.ndarray) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        write(tmp_path / "images" / name, np.repeat(square[..., None], 3, axis=2))
    for name in ("a.PNG", "b.jpg", "b.png", "c.jpg.png", "x.tif", "._a.png"):
        write(tmp_path / "masks" / name, square)
    found = find_pairs(tmp_path)
    assert [pair.mask.name for pair in found.pairs] == ["a.PNG", "b.png", "c.jpg.png"]
    assert [path.name for path in found.missing] == ["d.jpg"]
    assert sorted(path.name for path in found.unmatched) == ["b.jpg", "x.tif"]
    assert all((read_pair(pair)[1] > 128).sum() > 50 for pair in found.pairs)
