"""Two runs side by side."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from hqsam_cli.formats.values import identifier
from hqsam_cli.progress import SILENT
from hqsam_cli.records import Failure, ImageRecord
from hqsam_cli.report.against import compare_runs, write_against
from hqsam_cli.report.photos import Photo, read_photos
from hqsam_cli.results.stream import open_results
from tests.report.conftest import annotation, disc


def saved(folder: Path, discs: dict[str, list[tuple[float, float, float]]]) -> Path:
    """A results file of photos with discs: x, y and radius."""
    images, annotations = [], []
    for number, (name, shapes) in enumerate(discs.items(), 1):
        images.append({"id": number, "file_name": name, "width": 160, "height": 120})
        annotations += [annotation(10 * number + n, number, disc(*shape)) for n, shape in enumerate(shapes)]
        (folder / "imgs").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (160, 120), (90, 120, 40)).save(folder / "imgs" / name)
    path = folder / "instances.json"
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "disc"}]})
    )
    return path


def test_masks_of_one_run_come_first_then_those_that_differ_most(tmp_path: Path) -> None:
    equal, left = (130, 90, 20), (40, 60, 25)
    first = saved(tmp_path / "one", {"a.jpg": [equal, left, (90, 30, 9)], "<b>.jpg": [(60, 60, 30)], "c.jpg": [equal]})
    second = saved(tmp_path / "two", {"a.jpg": [(43, 60, 25), equal], "<b>.jpg": [(66, 60, 30), (130, 20, 15)]})
    results = open_results(first)
    photos = read_photos(results, tmp_path / "one/imgs")
    compared = compare_runs(photos, read_photos(open_results(second)))
    assert (compared.equal, compared.alone) == (1, 1)
    names = {identifier(own["id"]): own["name"] for own in results.categories}
    page = write_against(
        compared, tmp_path / "against", ("one", "<two>"), (names, names), max_pixels=10**6, progress=SILENT
    )
    with open(page.with_name("differences.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file_name"], row["id"], row["other_id"]) for row in rows] == [
        ("<b>.jpg", "", "21"),
        ("a.jpg", "12", ""),
        ("<b>.jpg", "20", "20"),
        ("a.jpg", "11", "10"),
    ]
    assert 0.7 < float(rows[2]["iou"]) < float(rows[3]["iou"]) < 0.95
    text = page.read_text()
    assert "4 objects differ, 1 are equal" in text and "&lt;b&gt;.jpg" in text and "<b>" not in text
    for number in range(4):
        with Image.open(page.with_name(f"{number}.jpg")) as picture:
            assert picture.width > picture.height / 2
    shutil.rmtree(tmp_path / "one/imgs")
    gone = write_against(compared, tmp_path / "against", ("one", "two"), (names, names), max_pixels=9, progress=SILENT)
    assert "<img" not in gone.read_text() and "disc" in gone.read_text()


@pytest.mark.parametrize("masks", [0, 1])
def test_runs_that_agree_differ_in_nothing(tmp_path: Path, masks: int) -> None:
    photos = read_photos(open_results(saved(tmp_path, {"a.jpg": [(60, 60, 30)] * masks})))
    compared = compare_runs(photos, photos)
    assert (compared.differences, compared.equal) == ([], masks)


def test_images_that_failed_in_a_run_are_not_compared(tmp_path: Path) -> None:
    photos = read_photos(open_results(saved(tmp_path, {"a.jpg": [(60, 60, 30)]})))
    failed = [Photo(ImageRecord("a.jpg", 1, (160, 120), [], Failure("a.jpg", "broken image")))]
    for runs in ((photos, failed), (failed, photos)):
        compared = compare_runs(*runs)
        assert (compared.differences, compared.alone) == ([], 1)


def test_small_objects_are_enlarged_below_long_titles(tmp_path: Path) -> None:
    photos = read_photos(open_results(saved(tmp_path, {"a.jpg": [(60, 60, 3)]})), tmp_path / "imgs")
    compared = compare_runs(photos, [Photo(ImageRecord("a.jpg", 1, (160, 120), []))])
    titles = (str(tmp_path / "outputs" / ("long " * 20)), "other")
    page = write_against(compared, tmp_path / "against", titles, ({}, {}), max_pixels=10**6, progress=SILENT)
    with Image.open(page.with_name("0.jpg")) as picture:
        assert picture.width > 2 * 480
