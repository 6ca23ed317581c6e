"""Every odd file ends in pixels or in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqsam_cli.errors import ImageError
from hqsam_cli.images.decode import decoded_image


@pytest.fixture
def photo() -> np.ndarray:
    y, x = np.mgrid[:40, :60]
    return np.stack([x * 4, y * 6, 255 - x * 4], axis=2).astype(np.uint8)


def test_grey_palette_cmyk_and_single_lines(tmp_path: Path, photo: np.ndarray) -> None:
    image = Image.fromarray(photo)
    image.convert("L").save(tmp_path / "grey.png")
    image.convert("P").save(tmp_path / "palette.png")
    image.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    image.convert("1").save(tmp_path / "bilevel.png")
    image.resize((1, 200)).save(tmp_path / "line.png")
    for name, size in [
        ("grey.png", (40, 60)),
        ("palette.png", (40, 60)),
        ("bilevel.png", (40, 60)),
        ("line.png", (200, 1)),
    ]:
        assert decoded_image(str(tmp_path / name)).shape == (*size, 3)
    assert np.abs(decoded_image(str(tmp_path / "cmyk.jpg")).astype(int) - photo).mean() < 8


def test_sixteen_bits_keep_their_range(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    decoded = decoded_image(str(tmp_path / "deep.png"))
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded[..., 0].ravel(), np.arange(256))


def test_transparency_lies_on_white(tmp_path: Path, photo: np.ndarray) -> None:
    alpha = np.zeros((40, 60, 1), np.uint8)
    alpha[:, 30:] = 255
    image = Image.fromarray(np.dstack([photo, alpha]))
    image.save(tmp_path / "rgba.png")
    image.quantize().save(tmp_path / "palette_alpha.png")
    for name in ("rgba.png", "palette_alpha.png"):
        decoded = decoded_image(str(tmp_path / name))
        assert (decoded[:, :30] == 255).all()
        assert not (decoded[:, 30:] == 255).all()


def test_exif_is_applied_or_ignored(tmp_path: Path, photo: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert decoded_image(str(tmp_path / "turned.jpg")).shape == (60, 40, 3)
    assert decoded_image(str(tmp_path / "turned.jpg"), exif="ignore").shape == (40, 60, 3)


def test_an_animation_is_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert (decoded_image(str(tmp_path / "moving.gif")) == (255, 0, 0)).all()


@pytest.mark.parametrize("name", ["with space.png", "line\nbreak.png", "\N{GRINNING FACE}.png", "\udcff\udcfe.png"])
def test_odd_names(tmp_path: Path, photo: np.ndarray, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(photo).save(path, format="PNG")
    assert np.array_equal(decoded_image(str(path)), photo)


def test_what_cannot_be_read_is_named(tmp_path: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "folder.jpg").mkdir()
    expected = {
        "cut.jpg": "(?i)truncated",
        "empty.jpg": "empty",
        "text.jpg": "not an image",
        "folder.jpg": "folder",
        "gone.jpg": "no such file",
    }
    for name, reason in expected.items():
        with pytest.raises(ImageError, match=reason) as caught:
            decoded_image(str(tmp_path / name))
        assert name in str(caught.value)


def test_a_huge_image_is_refused_from_its_header(tmp_path: Path) -> None:
    Image.new("1", (30_000, 20_000)).save(tmp_path / "huge.png")
    with pytest.raises(ImageError, match="--max-pixels"):
        decoded_image(str(tmp_path / "huge.png"))
    Image.new("L", (50, 50)).save(tmp_path / "small.png")
    with pytest.raises(ImageError, match="--max-pixels"):
        decoded_image(str(tmp_path / "small.png"), max_pixels=2499)
    assert decoded_image(str(tmp_path / "small.png"), max_pixels=2500).shape == (50, 50, 3)
