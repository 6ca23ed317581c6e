"""`hqsam report` from the outside."""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from tests.cli.conftest import Run


def said(text: str) -> str:
    """What was printed, without the breaks of its lines."""
    return " ".join(text.split())


def test_a_page_and_a_table_of_a_run(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "torn.jpg").write_bytes((photos / "a.jpg").read_bytes()[:200])
    assert hqsam("segment", photos, "--boxes", "dets.json", "-o", "out").code == 3
    result = hqsam("report", "out")
    assert result.code == 0, result.err
    assert "wrote out/report/index.html" in said(result.err)
    with open(tmp_path / "out" / "report" / "instances.csv", newline="") as file:
        table = csv.DictReader(file)
        rows = list(table)
    assert len(set(table.fieldnames or ())) == len(table.fieldnames or ())
    assert [(row["file_name"], row["annotation_id"]) for row in rows] == [
        ("a.jpg", "5"),
        ("sub/b.png", "7"),
        ("sub/b.png", "8"),
    ]
    assert {row["category"] for row in rows} == {"disc"}
    assert sorted(int(row["rank"]) for row in rows) == [1, 2, 3]
    for row in rows:
        assert (tmp_path / "out" / row["mask"]).is_file() and Path(row["path"]).is_file()
    # What shows results is no input of the next run.
    plan = hqsam("segment", ".", "--salient", "--dry-run", "-o", "more").out
    assert ["images", "3"] in [line.split() for line in plan.splitlines()]
    assert hqsam("report", "out").code == 0


def test_two_runs_side_by_side_and_a_choice_by_suspicion(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    for folder, options in (("out", ()), ("other", ("--mask-output", "sam"))):
        assert hqsam("segment", photos, "--boxes", "dets.json", *options, "-o", folder).code == 0
    refused = hqsam("results", "filter", "out", "--max-suspicion", "0.5", "-o", "good.json")
    assert refused.code == 2 and "run hqsam report out first" in said(refused.err)
    assert hqsam("report", "out", "--against", "gone").code == 4
    result = hqsam("report", "out", "--against", "other")
    assert result.code == 0 and "wrote out/report/against/index.html" in said(result.err), result.err
    assert "out against other" in (page := (tmp_path / "out/report/against/index.html").read_text())
    assert 'href="../index.html"' in page
    assert (
        '<a href="against/index.html">Side by side with other</a>' in (tmp_path / "out/report/index.html").read_text()
    )
    with open(tmp_path / "out/report/instances.csv", newline="") as file:
        suspicion = {int(row["annotation_id"]): float(row["suspicion"]) for row in csv.DictReader(file)}
    most = sorted(suspicion.values())[1]
    assert hqsam("results", "filter", "out", "--max-suspicion", str(most), "-o", "good.json").code == 0
    kept = {own["id"] for own in json.loads((tmp_path / "good.json").read_text())["annotations"]}
    assert kept == {own for own, value in suspicion.items() if value <= most} and kept
    (tmp_path / "marked.txt").write_text("7\n")
    assert hqsam("results", "filter", "dets.json", "--only", "marked.txt", "-o", "again.json").code == 0
    again = hqsam("segment", photos, "--boxes", "again.json", "-o", "again")
    assert again.code == 0 and "1 masks" in again.err, again.err
    assert hqsam("report", "out").code == 0
    assert not (tmp_path / "out/report/against").exists(), "of another report"
    assert "against/" not in (tmp_path / "out/report/index.html").read_text()


def test_photos_that_were_moved(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    hqsam("segment", photos, "--boxes", "dets.json", "-o", "out", "-f", "coco")
    photos.rename(tmp_path / "moved")
    result = hqsam("report", "out")
    assert result.code == 0
    assert "images that cannot be shown: 2 of 2; pass their folder as --images" in said(result.err)
    result = hqsam("report", "out", "--images", "moved")
    assert result.code == 0
    assert "cannot be shown" not in result.err
    assert len(list((tmp_path / "out" / "report" / "thumbnails").iterdir())) == 2


def test_thumbnails_of_the_run_stand_for_photos_that_are_elsewhere(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(photos, ".")
    arguments = ("segment", "photos.tar", "--boxes", "dets.json", "-o", "out", "-f", "coco", "--thumbnail")
    assert hqsam(*arguments).code == 0
    made = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "out" / "thumbnails").rglob("*.jpg"))
    assert made == ["out/thumbnails/a.jpg.jpg", "out/thumbnails/sub/b.png.jpg"]
    with Image.open(tmp_path / made[0]) as small, Image.open(photos / "a.jpg") as photo:
        assert small.size == photo.size  # it is small already
    result = hqsam("report", "out")
    assert result.code == 0
    assert "cannot be shown" not in result.err
    assert "../thumbnails/sub/b.png.jpg" in (tmp_path / "out" / "report" / "data" / "photos-0.js").read_text()
    with open(tmp_path / "out" / "report" / "instances.csv", newline="") as file:
        edges = [float(row["edges"]) for row in csv.DictReader(file)]
    hqsam("report", "out", "--images", "photos")
    with open(tmp_path / "out" / "report" / "instances.csv", newline="") as file:
        assert [float(row["edges"]) for row in csv.DictReader(file)] == pytest.approx(edges, abs=0.05)
    assert not (tmp_path / "out" / "report" / "thumbnails").exists()

    (tmp_path / made[0]).write_bytes(b"broken")
    assert "images that cannot be shown: 1 of 2" in said(hqsam("report", "out").err)
    (tmp_path / made[0]).unlink()
    assert "1 of 2 images" in hqsam(*arguments).err
    assert (tmp_path / made[0]).is_file()


def test_what_cannot_be_reported_on(hqsam: Run, tmp_path: Path) -> None:
    assert hqsam("report", "none").code == 4
    (tmp_path / "empty").mkdir()
    result = hqsam("report", "empty")
    assert result.code == 1
    assert "empty: has no instances.json, instances.ndjson or journal.ndjson; pass COCO instances" in said(result.err)
    own = tmp_path / "own"
    (own / "report").mkdir(parents=True)
    (own / "report" / "sales.txt").write_text("mine")
    (own / "instances.json").write_text('{"images": [], "annotations": [], "categories": []}')
    result = hqsam("report", "own")
    assert result.code == 1
    assert "already exists, and is not a report of hqsam" in said(result.err)
    assert [path.name for path in (own / "report").iterdir()] == ["sales.txt"]


def test_masks_of_sam_are_compared(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    assert hqsam("segment", photos, "--everything", "--compare-sam").code == 2
    result = hqsam("segment", photos, "--boxes", "dets.json", "--compare-sam", "-o", "out", "-f", "coco")
    assert result.code == 0, result.err
    annotations = json.loads((tmp_path / "out" / "instances.json").read_text())["annotations"]
    assert hqsam("report", "out").code == 0
    with open(tmp_path / "out" / "report" / "instances.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for annotation, row in zip(annotations, rows, strict=True):
        (iou,) = coco_mask.iou([annotation["segmentation"]], [annotation["sam"]["segmentation"]], [0])
        assert (float(row["disagreement"]) > 0) == (iou < 0.85)
