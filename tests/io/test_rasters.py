"""TIFFs of more pixels than the limit, read in windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from hqsam_cli.errors import ImageError
from hqsam_cli.io.files import InputFile
from hqsam_cli.io.images import read_header, read_image
from hqsam_cli.io.rasters import Raster, read_or_open

rasterio: Any = pytest.importorskip("rasterio", exc_type=ImportError)
WIDTH, HEIGHT = 300, 200


def scene(count: int = 3, dtype: str = "uint8") -> np.ndarray:
    """Smooth colors, (bands, H, W)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    bands = np.stack([np.sin(x / 20 + n) * np.cos(y / 15) for n in range(count)])
    return np.asarray((bands + 1) / 2 * np.iinfo(dtype).max).astype(dtype)


def saved(path: Path, bands: np.ndarray, **options: Any) -> Path:
    count, height, width = bands.shape
    form = {"driver": "GTiff", "width": width, "height": height, "count": count, "dtype": bands.dtype}
    with rasterio.Env(), rasterio.open(path, "w", **form, **options) as target:
        target.write(bands)
    return path


def opened(path: Path, exif: str = "apply") -> Raster:
    image, orientation = read_or_open(InputFile(str(path)), exif=exif, max_pixels=WIDTH * HEIGHT - 1)
    assert isinstance(image, Raster) and orientation == 1
    return image


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize(
    ("bands", "options"),
    [
        (scene(), {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "lzw"}),
        (scene(), {"interleave": "pixel", "compress": "deflate", "BIGTIFF": "YES"}),
        (scene(1), {}),
        (scene(1, "uint16"), {}),
        (scene(3, "uint16"), {"interleave": "pixel", "photometric": "rgb"}),
        (scene(1, "uint16") // 16, {"nbits": 12}),
        (scene(4), {"photometric": "rgb", "interleave": "pixel", "alpha": "yes"}),
        (scene(4), {"photometric": "rgb", "interleave": "pixel", "alpha": "unspecified"}),
    ],
    ids=[
        "tiles",
        "strips of a BigTIFF",
        "gray",
        "16-bit gray",
        "16-bit RGB",
        "12-bit gray",
        "RGBA",
        "RGB and another",
    ],
)
def test_windows_have_the_pixels_of_the_photo(
    tmp_path: Path, bands: np.ndarray, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.tif", bands, **options)
    expected, raster = read_image(str(path)), opened(path)
    assert raster.shape == (HEIGHT, WIDTH, 3) == expected.shape
    window = raster[20:150, 100:280].reduced(40, 60)
    assert window.dtype == np.uint8 and window.flags.c_contiguous
    assert np.abs(window.astype(int) - expected[20:150, 100:280]).max() <= 1  # of alpha, rounded
    inner = raster[20:150, 100:280][30:, 40:50]
    assert inner.shape == (100, 10, 3) and np.array_equal(inner.reduced(9, 9), window[30:, 40:50])
    monkeypatch.setattr("hqsam_cli.io.rasters.LARGEST_READ", 130 * 180 - 1)
    for part, pixels in ((raster, expected), (raster[20:150, 100:280], expected[20:150, 100:280])):
        small = np.asarray(Image.fromarray(pixels).resize((60, 40), Image.Resampling.BILINEAR))
        assert np.abs(part.reduced(40, 60).astype(int) - small).mean() < 2


def test_smaller_images_and_others_than_tiff_are_decoded(tmp_path: Path) -> None:
    pixels = scene().transpose(1, 2, 0)
    for name, limit in (("a.tif", WIDTH * HEIGHT), ("b.png", WIDTH * HEIGHT)):
        Image.fromarray(pixels).save(tmp_path / name)
        image, _ = read_or_open(InputFile(str(tmp_path / name)), exif="apply", max_pixels=limit)
        assert isinstance(image, np.ndarray) and np.array_equal(image, pixels)
    with pytest.raises(ImageError, match=f"b.png: more than {limit - 1} pixels; raise `max_pixels`"):
        read_or_open(InputFile(str(tmp_path / "b.png")), exif="apply", max_pixels=limit - 1)


def test_the_package_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("images", "rasters"):
        monkeypatch.setattr(f"hqsam_cli.io.{module}.find_spec", lambda name: None)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif: more than 59999 pixels; .*pip install 'hqsam-cli\[geo\]'"):
        opened(tmp_path / "a.tif")


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize(
    ("bands", "detail"),
    [
        (scene().astype("float32"), "3 bands of float32"),
        (scene(2), "2 bands of uint8"),
        (scene(3, "uint16"), "3 bands of uint16"),
    ],
    ids=["float", "two", "no colors"],
)
def test_kinds_of_bands_that_are_no_colors(tmp_path: Path, bands: np.ndarray, detail: str) -> None:
    path = saved(tmp_path / "a.tif", bands)
    with pytest.raises(ImageError, match=rf"unsupported kind of TIFF \(300 x 200 pixels, {detail}\); convert it"):
        opened(path)


def test_a_turned_tiff_is_read_as_stored_or_not_at_all(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(scene().transpose(1, 2, 0)).save(tmp_path / "a.tif", exif=exif)
    with pytest.raises(ImageError, match=r"too large to be turned by its EXIF orientation .*; pass `exif` ignore"):
        opened(tmp_path / "a.tif")
    assert opened(tmp_path / "a.tif", exif="ignore").shape == (HEIGHT, WIDTH, 3)


def test_a_truncated_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(scene().transpose(1, 2, 0)).save(path)
    raster = opened(path)
    path.write_bytes(path.read_bytes()[: WIDTH * HEIGHT])
    with pytest.raises(ImageError, match=r"a\.tif: broken image"):
        raster[HEIGHT - 1 :, :].reduced(1, 1)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_headers_beyond_the_limit_of_pillow_and_of_run_lengths(tmp_path: Path) -> None:
    form: dict[str, Any] = {"driver": "GTiff", "count": 3, "dtype": "uint8", "SPARSE_OK": True, "tiled": True}
    for name, width, height in (("giga.tif", 40_000, 25_000), ("tera.tif", 50_000, 50_000)):
        rasterio.open(tmp_path / name, "w", width=width, height=height, BIGTIFF="YES", **form).close()
        header = read_header(str(tmp_path / name))
        assert header is not None and header[:2] == (width, height)
    raster, _ = read_or_open(InputFile(str(tmp_path / "giga.tif")), exif="apply", max_pixels=10**8)
    assert isinstance(raster, Raster) and raster[24_990:, 39_000:].reduced(1, 1).shape == (10, 1000, 3)
    with pytest.raises(ImageError, match=r"tera\.tif: too large \(50000 x 50000 pixels, .*\); cut it into tiles"):
        read_or_open(InputFile(str(tmp_path / "tera.tif")), exif="apply", max_pixels=10**8)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_strips_that_do_not_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.tif", scene(), compress="deflate", blockysize=HEIGHT, interleave="pixel")
    monkeypatch.setattr("hqsam_cli.io.rasters.LARGEST_BLOCK", WIDTH * HEIGHT)
    with pytest.raises(ImageError, match=r"strips too large to be read in windows .* gdal_translate -co TILED=YES"):
        opened(path)


def test_large_files_have_the_same_digest_and_leave_no_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tif").write_bytes(b"0123456789" * 100)
    small, large = InputFile(str(tmp_path / "a.tif")), InputFile(str(tmp_path / "a.tif"))
    digest = small.digest()
    monkeypatch.setattr("hqsam_cli.io.files.LARGE", 999)
    assert large.digest() == digest
    assert "content" in vars(small) and "content" not in vars(large)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize("count", [3, 4])
def test_bands_that_are_no_colors_are_not_read_as_gray(tmp_path: Path, count: int) -> None:
    path = saved(tmp_path / "a.tif", scene(count, "uint16"), interleave="pixel", photometric="minisblack")
    with pytest.raises(ImageError, match=rf"unsupported kind of TIFF \({count} bands of 16-bit whole numbers\)"):
        read_image(str(path))
