"""GeoJSON of georeferenced rasters and of other images."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hqsam_cli.batch.check_config import check_formats
from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.formats import WRITERS
from hqsam_cli.formats.coco import RunRecords
from hqsam_cli.records import MaskCrop
from tests.formats.shapes import HEIGHT, WIDTH, a_run, drawn, written

rasterio: Any = pytest.importorskip("rasterio", exc_type=ImportError)
shapely: Any = pytest.importorskip("shapely")
UTM, FEET = "EPSG:32631", "EPSG:2263"
TURNED = (8.0, 6.0, 499_000.0, 6.0, -8.0, 5_000_000.0)  # pixels of 10 m, rotated


def a_raster(path: Path, crs: str | None, transform: tuple[float, ...]) -> None:
    """An image file with these coordinates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    form = {"driver": "GTiff", "width": WIDTH, "height": HEIGHT, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", **form, crs=crs, transform=rasterio.Affine(*transform)) as raster:
        raster.write(bands)


def features_in(tmp_path: Path, crs: str | None, transform: tuple[float, ...], name: str = "a.tif") -> list[Any]:
    """The features of a run over one such raster."""
    run = a_run(tmp_path / "imgs", (name,))
    a_raster(tmp_path / "imgs" / name, crs, transform)
    return features_of(written(WRITERS["geojson"], run, tmp_path) / Path(name).with_suffix(".geojson"))


def features_of(path: Path) -> list[Any]:
    collection = json.loads(path.read_text())
    assert collection.keys() == {"type", "features"} and collection["type"] == "FeatureCollection"
    return list(collection["features"])


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (UTM, TURNED),
        (UTM, (10.0, 0.0, 499_000.0, 0.0, 10.0, 5_000_000.0)),  # the first row is the southernmost
        ("EPSG:4326", (1e-4, 0.0, 2.99, 0.0, -1e-4, 45.15)),
        (FEET, (30.0, 0.0, 980_000.0, 0.0, -30.0, 200_000.0)),
    ],
    ids=["rotated", "southernmost first", "degrees", "feet"],
)
def test_masks_come_back_from_a_georeferenced_raster(tmp_path: Path, crs: str, transform: tuple[float, ...]) -> None:
    from rasterio.features import rasterize
    from rasterio.warp import transform_geom

    features = features_in(tmp_path, crs, transform)
    for feature, mask in zip(features, drawn().values(), strict=True):
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid and shape.bounds[0] >= -180 and shape.bounds[3] <= 90
        parts = getattr(shape, "geoms", [shape])
        assert all(part.exterior.is_ccw and not any(hole.is_ccw for hole in part.interiors) for part in parts)
        back = transform_geom("EPSG:4326", crs, feature["geometry"])
        again = rasterize([back], (HEIGHT, WIDTH), transform=rasterio.Affine(*transform))
        assert np.array_equal(again, mask.full())
    kinds = [feature["geometry"]["type"] for feature in features]
    assert kinds[0] == "Polygon" and kinds[2] == "MultiPolygon"


@pytest.mark.parametrize(
    ("crs", "transform", "pixel"),
    [
        (UTM, TURNED, 100.0),
        (FEET, (10.0, 0.0, 980_000.0, 0.0, -10.0, 200_000.0), (10 * 1200 / 3937) ** 2),
        # Twice as large at 60 degrees north as it is.
        ("EPSG:3857", (20.0, 0.0, 1_000_000.0, 0.0, -20.0, 8_399_738.0), 100.0),
    ],
    ids=["meters", "feet", "Web Mercator"],
)
def test_areas_are_square_meters_on_the_ground(
    tmp_path: Path, crs: str, transform: tuple[float, ...], pixel: float
) -> None:
    for feature, mask in zip(features_in(tmp_path, crs, transform), drawn().values(), strict=True):
        assert feature["properties"]["area_m2"] == pytest.approx(mask.bits.sum() * pixel, rel=0.01)


def test_a_mask_at_the_antimeridian_is_cut(tmp_path: Path) -> None:
    features = features_in(tmp_path, "EPSG:32660", (500.0, 0.0, 795_000.0, 0.0, -500.0, 1_000_000.0))
    wheel = shapely.geometry.shape(features[0]["geometry"])
    assert wheel.geom_type == "MultiPolygon" and all(part.bounds[2] - part.bounds[0] < 1 for part in wheel.geoms)
    assert features[0]["properties"]["area_m2"] == pytest.approx(drawn()["wheel"].bits.sum() * 500**2, rel=0.01)


def test_what_a_feature_says(tmp_path: Path) -> None:
    first, second, *_ = features_in(tmp_path, None, (2.0, 0.0, 100.0, 0.0, -2.0, 50.0))
    assert first["properties"] == {"id": 1, "category": "wheel", "score": 0.75}
    assert second["properties"] == {"id": 2, "category": "cat & dog", "score": 0.75}
    wheel = shapely.geometry.shape(first["geometry"])
    assert wheel.bounds == (100 + 2 * 25, 50 - 2 * 106, 100 + 2 * 116, 50 - 2 * 15)


def test_images_without_coordinates_are_in_pixels_and_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = a_run(tmp_path / "imgs")
    with caplog.at_level(logging.WARNING):
        folder = written(WRITERS["geojson"], run, tmp_path)
    (message,) = caplog.messages
    assert "without a coordinate reference system" in message and "2 (a.jpg, sub/b.png)" in message
    for path in (folder / "a.geojson", folder / "sub/b.geojson"):
        wheel = shapely.geometry.shape(features_of(path)[0]["geometry"])
        assert wheel.bounds == (25, 15, 116, 106) and wheel.area == drawn()["wheel"].bits.sum()


def test_an_empty_mask_is_no_feature(tmp_path: Path) -> None:
    run = a_run(tmp_path / "imgs", ("a.jpg",))
    (record, _) = run.records()
    empty = MaskCrop(np.zeros((0, 0), bool), 0, 0, WIDTH, HEIGHT)
    emptied = replace(record, annotations=[{**record.annotations[0], "segmentation": empty.rle}])
    folder = written(WRITERS["geojson"], RunRecords(lambda: [emptied], run.categories), tmp_path)
    assert features_of(folder / "a.geojson") == []


def test_a_raster_that_is_gone(tmp_path: Path) -> None:
    run = a_run(tmp_path / "imgs", ("a.jpg",))
    (tmp_path / "imgs/a.jpg").unlink()
    with pytest.raises(HqsamError, match=r"a\.jpg: no such file; pass the folder of its image as `images`"):
        written(WRITERS["geojson"], run, tmp_path)


def test_rasterio_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hqsam_cli.batch.check_config.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"geojson needs rasterio; pip install 'hqsam-cli\[geo\]'"):
        check_formats(["coco", "geojson"], WRITERS)
