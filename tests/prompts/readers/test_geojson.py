"""GeoJSON as prompts: features in the coordinates of a map become pixels of the raster of the same name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hqsam_cli.configs import PromptConfig
from hqsam_cli.errors import HqsamError
from hqsam_cli.formats import WRITERS
from hqsam_cli.io.find import SourceImage
from hqsam_cli.prompts.fit import fit_prompts
from hqsam_cli.prompts.read import read_prompts
from hqsam_cli.prompts.table import PromptTable, bind_prompts
from tests.formats.shapes import HEIGHT, WIDTH, a_run, drawn, written

rasterio: Any = pytest.importorskip("rasterio", exc_type=ImportError)
UTM = "EPSG:32631"
TURNED = (8.0, 6.0, 499_000.0, 6.0, -8.0, 5_000_000.0)


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    """What a run over a rotated raster wrote."""
    run = a_run(tmp_path / "imgs", ("a.tif",))
    form = {"driver": "GTiff", "width": WIDTH, "height": HEIGHT, "count": 3, "dtype": "uint8", "crs": UTM}
    with rasterio.open(tmp_path / "imgs/a.tif", "w", **form, transform=rasterio.Affine(*TURNED)) as raster:
        raster.write(np.zeros((3, HEIGHT, WIDTH), np.uint8))
    return written(WRITERS["geojson"], run, tmp_path)


def bound(tmp_path: Path, **options: Any) -> PromptTable:
    return bind_prompts(read_prompts(PromptConfig(**options)), [SourceImage(str(tmp_path / "imgs/a.tif"), "a.tif")])


def saved(path: Path, *geometries: dict[str, Any], **more: Any) -> str:
    features = [{"type": "Feature", "properties": {}, "geometry": own} for own in geometries]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}))
    return str(path)


def on_map(*pixels: tuple[float, float]) -> list[list[float]]:
    """Pixels in the coordinates of the raster."""
    a, b, c, d, e, f = TURNED
    return [[a * x + b * y + c, d * x + e * y + f] for x, y in pixels]


def test_boxes_and_masks_of_written_features_come_back(tmp_path: Path, layers: Path) -> None:
    for path in (layers, layers / "a.geojson"):
        table = bound(tmp_path, boxes=str(path))
        assert table.notes.lost == [] and [own["name"] for own in table.categories] == ["wheel", "cat & dog"]
        prompts, problems = fit_prompts(table.for_image("a.tif"), WIDTH, HEIGHT)
        assert problems == [] and [own.annotation_id for own in prompts] == [1, 2, 3, 4, 5]
        for prompt, mask in zip(prompts, drawn().values(), strict=True):
            x, y, w, h = mask.tight_box()
            assert prompt.box == pytest.approx((x, y, x + w, y + h), abs=1e-3) and prompt.score == 0.75
    masks, _ = fit_prompts(bound(tmp_path, coarse_masks=str(layers)).for_image("a.tif"), WIDTH, HEIGHT)
    for prompt, mask in zip(masks, drawn().values(), strict=True):
        assert prompt.mask is not None and np.mean(prompt.mask != mask.full()) < 1e-3


def test_points_in_the_coordinates_of_the_raster(tmp_path: Path, layers: Path) -> None:
    one, two, three = on_map((10.5, 20.25), (30, 40), (50, 60))
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}  # as GDAL and QGIS write it
    points = {"type": "Point", "coordinates": [*one, 120.5]}, {"type": "MultiPoint", "coordinates": [two, three]}
    line = {"type": "LineString", "coordinates": [one, two]}
    path = saved(tmp_path / "a.geojson", *points, line, crs=crs)
    table = bound(tmp_path, points=path)
    first, second = table.for_image("a.tif").prompts
    assert first.points == pytest.approx(np.array([[10.5, 20.25, 1]]), abs=1e-3)
    assert second.points == pytest.approx(np.array([[30, 40, 1], [50, 60, 1]]), abs=1e-3)
    assert any("not points or polygons, skipped: 1 (feature 3 of a" in text for text in table.notes.lost)


def test_pixels_of_an_image_without_coordinates(tmp_path: Path) -> None:
    (tmp_path / "imgs").mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "imgs/a.tif")
    ring = [[10, 20], [60, 20], [60, 50], [10, 50], [10, 20]]
    table = bound(tmp_path, boxes=saved(tmp_path / "a.geojson", {"type": "Polygon", "coordinates": [ring]}))
    (prompt,) = table.for_image("a.tif").prompts
    assert prompt.box == (10, 20, 60, 50)


def test_an_empty_collection_says_that_there_is_nothing(tmp_path: Path, layers: Path) -> None:
    assert bound(tmp_path, boxes=saved(tmp_path / "a.geojson")).for_image("a.tif").mentioned


def test_features_of_other_rasters_are_lost_by_name(tmp_path: Path, layers: Path) -> None:
    other = saved(tmp_path / "b.geojson", {"type": "Point", "coordinates": [3, 45]})
    table = bound(tmp_path, boxes=other)
    assert any("rasters that are no local inputs, skipped: 1 (b)" in text for text in table.notes.lost)


def test_a_coordinate_reference_system_that_nobody_knows(tmp_path: Path, layers: Path) -> None:
    crs = {"type": "name", "properties": {"name": "EPSG:999999"}}
    path = saved(tmp_path / "a.geojson", {"type": "Point", "coordinates": [3, 45]}, crs=crs)
    with pytest.raises(HqsamError, match="unknown coordinate reference system EPSG:999999; use EPSG:4326"):
        bound(tmp_path, points=path)


@pytest.mark.parametrize("odd", [None, 5, "x", [], [[]], {}, [["x", 1]], [[[1, None], [2, 3], [4, 5]]]])
@pytest.mark.parametrize("kind", ["Point", "MultiPoint", "Polygon", "MultiPolygon", None])
def test_damaged_geometries_are_skipped(tmp_path: Path, layers: Path, kind: str | None, odd: Any) -> None:
    path = saved(tmp_path / "a.geojson", {"type": kind, "coordinates": odd})
    table = bound(tmp_path, boxes=path)
    assert table.for_image("a.tif").prompts == [] and "skipped: 1" in table.notes.lost[0]


def test_rasterio_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hqsam_cli.prompts.readers.geojson.find_spec", lambda name: None)
    with pytest.raises(HqsamError, match=r"GeoJSON, which needs rasterio; pip install 'hqsam-cli\[geo\]'"):
        read_prompts(PromptConfig(boxes=saved(tmp_path / "a.geojson")))
