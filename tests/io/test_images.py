"""Every odd file ends in pixels or in one sentence."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqsam_cli.errors import ImageError
from hqsam_cli.io.images import read_image


@pytest.fixture
def photo() -> np.ndarray:
    y, x = np.mgrid[:40, :60]
    return np.stack([x * 4, y * 6, 255 - x * 4], axis=2).astype(np.uint8)


def test_gray_palette_cmyk_and_single_lines(tmp_path: Path, photo: np.ndarray) -> None:
    image = Image.fromarray(photo)
    image.convert("L").save(tmp_path / "gray.png")
    image.convert("P").save(tmp_path / "palette.png")
    image.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    image.convert("1").save(tmp_path / "bilevel.png")
    image.resize((1, 200)).save(tmp_path / "line.png")
    for name, size in [
        ("gray.png", (40, 60)),
        ("palette.png", (40, 60)),
        ("bilevel.png", (40, 60)),
        ("line.png", (200, 1)),
    ]:
        assert read_image(str(tmp_path / name)).shape == (*size, 3)
    assert np.abs(read_image(str(tmp_path / "cmyk.jpg")).astype(int) - photo).mean() < 8


def test_sixteen_bits_keep_their_range(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    decoded = read_image(str(tmp_path / "deep.png"))
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded[..., 0].ravel(), np.arange(256))


def test_whole_numbers_and_floats_keep_the_range_they_use(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "float.tif")
    Image.fromarray(((ramp - 0.5) * 2e6).astype(np.int32)).save(tmp_path / "int.tif")
    for name in ("float.tif", "int.tif"):
        assert np.array_equal(read_image(str(tmp_path / name))[..., 2].ravel(), np.arange(256)), name
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "nan.tif")
    with pytest.raises(ImageError, match=r"nan\.tif: .*convert"):
        read_image(str(tmp_path / "nan.tif"))


def test_transparency_lies_on_white(tmp_path: Path, photo: np.ndarray) -> None:
    alpha: np.ndarray = np.zeros((40, 60, 1), np.uint8)
    alpha[:, 30:] = 255
    image = Image.fromarray(np.dstack([photo, alpha]))
    image.save(tmp_path / "rgba.png")
    image.quantize().save(tmp_path / "palette_alpha.png")
    for name in ("rgba.png", "palette_alpha.png"):
        decoded = read_image(str(tmp_path / name))
        assert (decoded[:, :30] == 255).all()
        assert not (decoded[:, 30:] == 255).all()


def test_exif_is_applied_or_ignored(tmp_path: Path, photo: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert read_image(str(tmp_path / "turned.jpg")).shape == (60, 40, 3)
    assert read_image(str(tmp_path / "turned.jpg"), exif="ignore").shape == (40, 60, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_every_orientation_in_every_format(tmp_path: Path, photo: np.ndarray, orientation: int, suffix: str) -> None:
    # What a viewer shows, from the definition: where row 0 and column 0 of the file belong.
    upright = photo.transpose(1, 0, 2) if orientation > 4 else photo
    upright = upright[::-1] if orientation in (3, 4, 7, 8) else upright
    upright = upright[:, ::-1] if orientation in (2, 3, 6, 7) else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(photo).save(path, exif=exif, lossless=True)
    assert np.array_equal(read_image(str(path)), upright)
    assert np.array_equal(read_image(str(path), exif="ignore"), photo)


def test_damaged_exif_does_not_cost_the_photo(tmp_path: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo).save(tmp_path / "exif.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(read_image(str(tmp_path / "exif.png")), photo)


def test_an_animation_is_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert (read_image(str(tmp_path / "moving.gif")) == (255, 0, 0)).all()


@pytest.mark.parametrize("name", ["with space.png", "line\nbreak.png", "\N{GRINNING FACE}.png", "\udcff\udcfe.png"])
def test_odd_names(tmp_path: Path, photo: np.ndarray, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(photo).save(path, format="PNG")
    assert np.array_equal(read_image(str(path)), photo)


def test_what_cannot_be_read_is_named(tmp_path: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "folder.jpg").mkdir()
    Image.fromarray(photo).save(tmp_path / "whole.avif")
    (tmp_path / "cut.avif").write_bytes((tmp_path / "whole.avif").read_bytes()[:400])
    (tmp_path / "cut.tif").write_bytes(b"II+\0\x08\0\0\0\x10")
    expected = {
        "cut.avif": "broken image",
        "cut.tif": r"broken image \(a BigTIFF that is truncated",
        "cut.jpg": "(?i)truncated",
        "empty.jpg": "empty",
        "text.jpg": "not a supported image",
        "folder.jpg": "folder",
        "gone.jpg": "no such file",
    }
    for name, reason in expected.items():
        with pytest.raises(ImageError, match=reason) as caught:
            read_image(str(tmp_path / name))
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tif", "webp", "bmp"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_files_end_in_pixels_or_one_sentence(tmp_path: Path, photo: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"damaged.{suffix}"
    Image.fromarray(photo).save(path)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = whole.copy()
        where = random.integers(0, min(len(whole), 400), 4)
        damaged[where] = random.integers(0, 256, 4)
        path.write_bytes(damaged[: random.integers(1, len(whole) + 1)].tobytes())
        try:
            pixels = read_image(str(path), max_pixels=10**6)
        except ImageError as error:
            assert str(path) in str(error)
        else:
            assert pixels.dtype == np.uint8 and pixels.shape[2] == 3


def test_permission_is_named(tmp_path: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(photo).save(tmp_path / "locked.png")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ImageError, match=r"locked\.png: .*Permission denied"):
        read_image(str(tmp_path / "locked.png"))


def test_a_huge_image_is_refused_from_its_header(tmp_path: Path) -> None:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "huge.png").write_bytes(header + struct.pack(">I", 9) + b"IDATnothing!")
    with pytest.raises(ImageError, match=r"huge\.png: .*`max_pixels`"):
        read_image(str(tmp_path / "huge.png"))
    Image.new("L", (50, 50)).save(tmp_path / "small.png")
    with pytest.raises(ImageError, match="`max_pixels`"):
        read_image(str(tmp_path / "small.png"), max_pixels=2499)
    assert read_image(str(tmp_path / "small.png"), max_pixels=2500).shape == (50, 50, 3)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_the_limit_is_the_callers_and_not_pillows(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    Image.new("L", (50, 50)).save(tmp_path / f"a.{suffix}", compression="tiff_lzw")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with ThreadPoolExecutor(4) as pool:
        paths = [str(tmp_path / f"a.{suffix}")] * 20
        shapes = pool.map(lambda path: read_image(path, max_pixels=2500).shape, paths)
        assert set(shapes) == {(50, 50, 3)}
    assert not recwarn.list
    assert Image.MAX_IMAGE_PIXELS == 2500, "no further than anybody asked"
