"""Pixels that are all there are read, whatever is broken beside them; and what is missing is said."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from hqsam_cli.errors import ImageError
from hqsam_cli.io.images import read_image


@pytest.fixture
def photo() -> np.ndarray:
    y, x = np.mgrid[:40, :60]
    return np.stack([x * 4, y * 6, 255 - x * 4], axis=2).astype(np.uint8)


def encoded(photo: np.ndarray, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, form, **options)
    return buffer.getvalue()


def read(folder: Path, content: bytes, name: str = "x.png") -> np.ndarray:
    (folder / name).write_bytes(content)
    return read_image(str(folder / name))


def test_text_and_profiles_of_any_size_beside_a_png(tmp_path: Path, photo: np.ndarray) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "a" * 80_000_000, zip=True)
    assert np.array_equal(read(tmp_path, encoded(photo, "PNG", pnginfo=text)), photo)
    profile = np.random.default_rng(0).bytes(2_000_000)
    for form in ("PNG", "JPEG", "TIFF", "WEBP"):
        assert read(tmp_path, encoded(photo, form, icc_profile=profile)).shape == photo.shape


def test_a_wrong_checksum_matters_where_it_is_of_pixels(tmp_path: Path, photo: np.ndarray) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "abc")
    content = encoded(photo, "PNG", pnginfo=text)
    for chunk, sound in ((b"tEXt", True), (b"IHDR", False)):
        broken = bytearray(content)
        place = broken.index(chunk)
        broken[place + 4 + struct.unpack_from(">I", broken, place - 4)[0]] ^= 1
        if sound:
            assert np.array_equal(read(tmp_path, bytes(broken)), photo)
        else:
            with pytest.raises(ImageError, match=r"broken image|not a supported image"):
                read(tmp_path, bytes(broken))


@pytest.mark.parametrize("cut", [1, 8, 12])
def test_a_png_without_its_end_mark(tmp_path: Path, photo: np.ndarray, cut: int) -> None:
    content = encoded(photo, "PNG")
    assert np.array_equal(read(tmp_path, content[:-cut]), photo)
    with pytest.raises(ImageError, match="broken image"):
        read(tmp_path, content[: -cut - 20])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_without_its_end_mark(tmp_path: Path, photo: np.ndarray, options: dict[str, Any]) -> None:
    content = encoded(photo, "JPEG", quality=90, **options)
    whole = read(tmp_path, content, "x.jpg")
    assert np.array_equal(read(tmp_path, content[:-2], "x.jpg"), whole)
    assert np.array_equal(read(tmp_path, content[:-1], "x.jpg"), whole)
    for cut in (6, 20, len(content) // 2):
        with pytest.raises(ImageError, match="broken image"):
            read(tmp_path, content[:-cut], "x.jpg")


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_tiff_of_floats_in_color(tmp_path: Path, photo: np.ndarray, kind: Any) -> None:
    path = tmp_path / "f.tif"
    assert cv2.imwrite(str(path), photo[..., ::-1].astype(kind) / 255)
    assert np.abs(read_image(str(path)).astype(int) - photo).max() <= 1
    with pytest.raises(ImageError, match=r"more than [0-9]+ pixels"):
        read_image(str(path), max_pixels=2399)


def tiff(tags: dict[int, tuple[int, int]], strip: bytes) -> bytes:
    """A TIFF of one strip, from its tags as (type, value)."""
    tags = {**tags, 273: (4, 10 + 12 * (len(tags) + 2) + 4), 279: (4, len(strip))}
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + strip


def test_a_tiff_that_nobody_reads_is_named_by_what_it_is(tmp_path: Path) -> None:
    bands = tiff({256: (3, 4), 257: (3, 3), 258: (3, 8), 259: (3, 1), 262: (3, 2), 277: (3, 5)}, bytes(60))
    with pytest.raises(ImageError, match="5 bands of 8-bit whole numbers"):
        read(tmp_path, bands, "x.tif")
    inside = tiff({256: (3, 4), 257: (3, 3), 258: (3, 8), 259: (3, 34712), 262: (3, 1), 277: (3, 1)}, bytes(60))
    with pytest.raises(ImageError, match="JPEG 2000 inside"):
        read(tmp_path, inside, "x.tif")


def test_twelve_bits_in_sixteen_are_as_bright_as_eight(tmp_path: Path) -> None:
    ramp = np.linspace(0, 4095, 256).round().astype(np.uint16).reshape(16, 16)
    image = Image.fromarray(ramp)
    image.save(tmp_path / "x.tif", tiffinfo={281: 4095})
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    content = buffer.getvalue()
    place = content.index(b"IHDR") + 4 + 13 + 4
    chunk = b"sBIT" + b"\x0c"
    significant = struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "x.png").write_bytes(content[:place] + significant + content[place:])
    for name in ("x.tif", "x.png"):
        assert np.array_equal(read_image(str(tmp_path / name))[..., 0].ravel(), np.arange(256)), name


@pytest.mark.parametrize(("form", "suffix"), [("AVIF", "avif"), ("JPEG2000", "jp2"), ("JPEG", "jfif"), ("JPEG", "jpe")])
def test_other_suffixes_that_pillow_reads(tmp_path: Path, photo: np.ndarray, form: str, suffix: str) -> None:
    assert np.abs(read(tmp_path, encoded(photo, form), f"x.{suffix}").astype(int) - photo).mean() < 3


def test_kinds_that_are_not_read_say_what_to_do(tmp_path: Path) -> None:
    for name, remedy in (
        ("x.heic", "pillow-heif|not a supported image"),
        ("x.psd", "PSD is not supported; convert"),
        ("x.cr2", "CR2"),
    ):
        with pytest.raises(ImageError, match=remedy):
            read(tmp_path, b"\0\0\0\x18ftypheic", name)


def test_a_gray_tiff_is_turned_once(tmp_path: Path, photo: np.ndarray) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(photo[..., 0]).save(tmp_path / "x.tif", exif=exif)
        assert np.array_equal(read_image(str(tmp_path / "x.tif"), exif="ignore")[..., 0], photo[..., 0])


def test_sixteen_bits_whatever_their_order_and_scale(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    tags = {256: (3, 16), 257: (3, 16), 258: (3, 16), 259: (3, 1), 262: (3, 0), 277: (3, 1)}
    inverted = read(tmp_path, tiff(tags, (65535 - ramp).tobytes()), "x.tif")
    assert np.array_equal(inverted[..., 0].ravel(), np.arange(256))
    planes = tags | {262: (3, 2), 277: (3, 3), 284: (3, 2)}
    with pytest.raises(ImageError, match="3 bands of 16-bit whole numbers"):
        read(tmp_path, tiff(planes, ramp.tobytes() * 3), "x.tif")
    color = np.repeat((ramp // 16)[..., None], 3, axis=2)  # 12 bits
    assert cv2.imwrite(str(tmp_path / "c.tif"), color, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    deep = read_image(str(tmp_path / "c.tif"))
    assert deep.max() <= 16, "nothing in this file says that it has 12 bits"


def test_damaged_pixels_of_a_tiff_are_not_made_up(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    content = bytearray(encoded(noise // 8 * 8, "TIFF", compression="tiff_adobe_deflate"))
    middle = len(content) // 2
    content[middle - 25 : middle + 25] = bytes(50)
    with pytest.raises(ImageError, match="broken image"):
        read(tmp_path, bytes(content), "x.tif")


def test_four_bands_without_a_word_on_the_fourth_are_no_transparency(tmp_path: Path, photo: np.ndarray) -> None:
    bands = np.dstack([photo, np.zeros(photo.shape[:2], np.uint8)])
    tags = {256: (3, 60), 257: (3, 40), 258: (3, 8), 259: (3, 1), 262: (3, 2), 277: (3, 4)}
    assert np.array_equal(read(tmp_path, tiff(tags, bands.tobytes()), "x.tif"), photo)
