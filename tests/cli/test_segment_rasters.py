"""`hqsam segment` of TIFFs that are too large to be decoded as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from hqsam_cli.detection.files import EMBEDDED
from tests.cli.conftest import Run

rasterio: Any = pytest.importorskip("rasterio", exc_type=ImportError)
LIMIT = ("--max-pixels", "19199")
LOOSE = ("--pred-iou-thresh", "0.5", "--stability-score-thresh", "0.5")


@pytest.fixture
def scene(photos: Path, tmp_path: Path) -> list[str]:
    """A command on the first of the photos as a TIFF of 160 x 120 pixels."""
    Image.open(photos / "a.jpg").save(tmp_path / "a.tif", compression="tiff_lzw")
    document = json.loads((tmp_path / "dets.json").read_text())
    document["images"], document["annotations"] = document["images"][:1], document["annotations"][:1]
    document["images"][0]["file_name"] = "a.tif"
    (tmp_path / "a.json").write_text(json.dumps(document))
    return ["segment", "a.tif"]


def masks_in(folder: str) -> list[Any]:
    return [own["segmentation"] for own in json.loads(Path(folder, "instances.json").read_text())["annotations"]]


@pytest.mark.parametrize("windows", ["on", "off"])
def test_masks_of_windows_of_a_file_are_those_of_the_photo(hqsam: Run, scene: list[str], windows: str) -> None:
    options = ("--boxes", "a.json", "--windows", windows, "--format", "coco,png,geojson")
    assert hqsam(*scene, *options, "--output", "whole").code == 0
    result = hqsam(*scene, *options, *LIMIT, "--output", "read")
    assert result.code == 0 and "1 of 1 images, 1 masks" in result.err
    (whole,), (read,) = masks_in("whole"), masks_in("read")
    assert coco_mask.iou([read], [whole], [0]) > 0.97  # GDAL's resize is not Pillow's
    mask = np.asarray(Image.open("read/masks/a.tif/5.png"))
    assert np.array_equal(mask > 0, coco_mask.decode(read))
    assert json.loads(Path("read/geojson/a.geojson").read_text())["features"][0]["properties"]["category"] == "disc"
    assert "1 of 1 images already done" in hqsam(*scene, *options, *LIMIT, "--output", "read").err


@pytest.mark.parametrize(
    "options", [(), ("--everything", "--points-per-side", "2", *LOOSE)], ids=["bare", "everything"]
)
def test_objects_are_found_in_windows_of_a_file(hqsam: Run, scene: list[str], options: tuple[str, ...]) -> None:
    for output, more in (("whole", ()), ("read", LIMIT)):
        result = hqsam(*scene, *options, *more, "--windows", "on", "--format", "coco", "--output", output)
        assert result.code == 0 and "1 of 1 images" in result.err
    whole, read = masks_in("whole"), masks_in("read")
    assert len(read) == len(whole) > 0
    assert coco_mask.iou(read, whole, [0] * len(whole)).max(axis=1).min() > 0.9  # the detector sees the resized file


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--salient",), "too large to find objects in (160 x 120 pixels); pass their boxes, raise --max-pixels, or"),
        (("--detector", EMBEDDED), "too large to find objects in"),
        (("--boxes", "a.json", "--format", "crop"), "too large for crops; omit them, raise --max-pixels, or cut it"),
        (("--boxes", "a.json", "--overlay"), "too large for overlays"),
        (("--coarse-masks", "masks.json"), "too large for coarse masks"),
        (("--point", "60,60"), "too large for points without boxes"),
    ],
    ids=["salient", "detector", "crops", "overlays", "coarse masks", "points"],
)
def test_what_needs_all_pixels_at_once_says_so(
    hqsam: Run, scene: list[str], options: tuple[str, ...], reason: str
) -> None:
    document = json.loads(Path("a.json").read_text())
    document["annotations"][0]["segmentation"] = [[25, 25, 95, 25, 95, 95]]
    Path("masks.json").write_text(json.dumps(document))
    result = hqsam(*scene, *options, *LIMIT)
    assert result.code == 3
    (line,) = [line for line in result.err.splitlines() if "a.tif:" in line]
    assert f"a.tif: {reason}" in line


def images_in(path: str) -> dict[str, Any]:
    return {own["file_name"]: own for own in json.loads(Path(path).read_text())["images"]}


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_georeferences_are_in_the_results_and_stay_there(hqsam: Run, photos: Path) -> None:
    Path("rasters").mkdir()
    for name in ("plain.tif", "utm.tif", "local.tif", "turned.tif"):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 3 if name == "turned.tif" else 1
        Image.open(photos / "a.jpg").save(f"rasters/{name}", exif=exif)
    place = [0.5, 0.0, 400_000.0, 0.0, -0.5, 5_200_000.0]
    for name, crs in (("utm.tif", "EPSG:32633"), ("local.tif", None), ("turned.tif", "EPSG:32633")):
        with rasterio.open(f"rasters/{name}", "r+") as target:
            target.transform = rasterio.Affine(*place)
            if crs is not None:
                target.crs = crs
    expected = {"utm.tif": {"crs": "EPSG:32633", "transform": place}, "local.tif": {"transform": place}}
    expected |= {"plain.tif": {}, "turned.tif": {}}

    def check(path: str) -> None:
        for name, image in images_in(path).items():
            own = {key: value for key, value in image.items() if key in ("crs", "transform")}
            assert own == expected[name]

    assert hqsam("segment", "rasters", "--salient", "--format", "coco,ndjson", "--output", "out").code == 0
    check("out/instances.json")
    assert COCO("out/instances.json").loadImgs([images_in("out/instances.json")["utm.tif"]["id"]])[0]["crs"]
    for n, source in enumerate(("out", "out/instances.json", "out/instances.ndjson")):
        assert hqsam("results", "filter", source, "--min-area", "1", "--output", f"{n}.json").code == 0
        check(f"{n}.json")
    assert hqsam("results", "convert", "out", "--format", "ndjson", "--output", "lines.ndjson").code == 0
    assert hqsam("results", "merge", "0.json", "lines.ndjson", "--output", "merged.json").code == 0
    check("merged.json")
    for shard in ("1/2", "2/2"):
        assert hqsam("segment", "rasters", "--salient", "--shard", shard, "--output", f"part{shard[0]}").code == 0
    assert hqsam("merge", "all", "part1", "part2").code == 0
    check("all/instances.json")
