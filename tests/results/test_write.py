"""Results in the formats of other programs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from pycocotools import mask as coco_mask

from hqsam_cli.configs import DEFAULT_TOLERANCE, SegmentationKind
from hqsam_cli.configs.formats import FOLDERS, POLYGON_FORMATS
from hqsam_cli.errors import HqsamError
from hqsam_cli.formats import WRITERS
from hqsam_cli.results.stream import Results, open_results
from hqsam_cli.results.write import write_as, write_same
from tests.formats.shapes import HEIGHT, WIDTH, a_run, drawn, iou, written
from tests.results.conftest import document

LABEL_SUFFIXES = (".txt", ".xml", ".json", ".geojson")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """`instances.json` of a run."""
    return written(WRITERS["coco"], a_run(tmp_path / "imgs"), tmp_path)


@pytest.mark.parametrize("form", sorted(set(FOLDERS) - {"yolo"}))
def test_labels_are_those_that_the_run_would_have_written(tmp_path: Path, made: Path, form: str) -> None:
    images = tmp_path / "imgs"
    path, cost = write_as(form, tmp_path / "new", open_results(made), {}, images=images, tolerance=DEFAULT_TOLERANCE)
    run = written(WRITERS[form], a_run(images), tmp_path / "own")
    assert (cost.masks > 0) == (form in POLYGON_FORMATS)
    if run.is_file():
        assert path.read_text() == run.read_text()
        return
    labels, expected = (
        {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.suffix in LABEL_SUFFIXES}
        for folder in (path, run)
    )
    assert labels == expected


@pytest.mark.parametrize("segmentation", ["polygon", "both", "rle", None])
def test_masks_change_their_form_and_come_back(
    tmp_path: Path, made: Path, segmentation: SegmentationKind | None
) -> None:
    lines, cost = write_as(
        "ndjson", tmp_path / "x.ndjson", open_results(made), {}, segmentation=segmentation, tolerance=DEFAULT_TOLERANCE
    )
    assert (cost.masks > 0) == (segmentation in ("polygon", "both"))
    back, _ = write_as(
        "coco", tmp_path / "x.json", open_results(lines), {}, segmentation="rle", tolerance=DEFAULT_TOLERANCE
    )
    annotations = json.loads(back.read_text())["annotations"]
    for annotation, mask in zip(annotations, [*drawn().values()] * 2, strict=True):
        again = coco_mask.decode(annotation["segmentation"])
        assert again.shape == (HEIGHT, WIDTH)
        same = iou(again, mask.full())
        assert same > 0.98 if segmentation in ("polygon", "both") else same == 1
        assert ("rle" in annotation) == (segmentation == "both")


@pytest.mark.parametrize("form", ["yolo-seg", "labelme"])
def test_polygons_along_pixel_borders_are_drawn_as_their_masks(tmp_path: Path, form: str) -> None:
    """Readers that set the pixels on the outline would draw each of them a pixel too large."""
    boxes = [(x, y, x + 6, y + 4) for x in range(2, 150, 12) for y in range(2, 110, 12)]
    polygons = [[[x0, y0, x1, y0, x1, y1, x0, y1], [0, 0, 150, 110, 0, 0]] for x0, y0, x1, y1 in boxes]
    truth = document("a", first=1)
    truth["images"][0] |= {"width": WIDTH, "height": HEIGHT}
    box = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}
    truth["annotations"] = [{"id": n, **box, "segmentation": own} for n, own in enumerate(polygons, 1)]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    _, cost = write_as(form, tmp_path / form, open_results(tmp_path / "truth.json"), {}, images=tmp_path)
    assert (cost.replaced, cost.ious[form] / cost.masks) == (len(boxes), 1)
    truth_again = open_results(tmp_path / "truth.json")
    path, cost = write_as("coco", tmp_path / "x.json", truth_again, {}, segmentation="polygon")
    assert cost.replaced == 0
    assert [own["segmentation"] for own in json.loads(path.read_text())["annotations"]] == polygons


@pytest.mark.parametrize("form", ["yolo-seg", "labelme"])
def test_an_object_may_have_more_than_255_parts(tmp_path: Path, form: str) -> None:
    places = [(4 * x, 4 * y) for x in range(25) for y in range(12)]
    parts = [[x, y, x + 2, y, x + 2, y + 2, x, y + 2] for x, y in places]
    truth = document("a", first=1)
    truth["images"][0] |= {"width": WIDTH, "height": HEIGHT}
    truth["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 98, 46], "segmentation": parts}]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    _, cost = write_as(form, tmp_path / form, open_results(tmp_path / "truth.json"), {}, images=tmp_path)
    assert len(parts) == 300 and cost.masks == 1


def test_annotations_in_any_order_find_their_images(tmp_path: Path) -> None:
    scattered = document("abcd", first=5)
    random = np.random.default_rng(0)
    scattered["annotations"] = [scattered["annotations"][n] for n in random.permutation(8)]
    (tmp_path / "x.json").write_text(json.dumps(scattered))
    path, _ = write_as("yolo", tmp_path / "labels", open_results(tmp_path / "x.json"), {}, tolerance=DEFAULT_TOLERANCE)
    assert sorted(p.name for p in path.iterdir()) == [
        "a.txt",
        "b.txt",
        "c.txt",
        "classes.txt",
        "d.txt",
        "labels.sha256",
    ]
    for name in "abcd":
        assert sorted(line.split()[0] for line in (path / f"{name}.txt").read_text().splitlines()) == ["0", "1"]


@pytest.mark.parametrize("form", FOLDERS)
def test_nothing_is_written_outside_the_folder(tmp_path: Path, made: Path, form: str) -> None:
    images = tmp_path / "imgs"
    value = json.loads(made.read_text())
    value["images"][0]["file_name"] = f"{images}/a.jpg"
    value["images"][1]["file_name"] = "../outside/b.png"
    value["images"][2] = {"id": 99, "file_name": str(tmp_path / "c.jpg"), "width": WIDTH, "height": HEIGHT}
    made.write_text(json.dumps(value))
    (tmp_path / "outside").mkdir()
    for photo in ("outside/b.png", "c.jpg"):  # GeoJSON has the coordinates of its rasters
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / photo)
    before = set(tmp_path.rglob("*"))
    path, _ = write_as(form, tmp_path / "new", open_results(made), {}, images=images, tolerance=DEFAULT_TOLERANCE)
    new = set(tmp_path.rglob("*")) - before
    assert new and all(own.is_relative_to(tmp_path / "new") for own in new)
    if path.is_dir():
        labels = [own for own in path.rglob("*") if own.name.startswith(("a.", "b.", "c.")) and not own.is_symlink()]
        assert {own.stem for own in labels} == {"a", "b", "c"}
    if form == "yolo-seg":
        links = {own.name: own.readlink() for own in path.rglob("*") if own.is_symlink()}
        assert links == {"a.jpg": images / "a.jpg", "b.png": tmp_path / "outside/b.png", "c.jpg": tmp_path / "c.jpg"}
    elif form == "labelme":
        shown = [json.loads(own.read_text())["imagePath"] for own in sorted(labels)]
        assert {name.rsplit("../", 1)[1] for name in shown} == {"imgs/a.jpg", "outside/b.png", "c.jpg"}


@pytest.mark.parametrize("form", ["yolo", "yolo-seg", "labelme", "voc", "geojson"])
def test_labels_that_are_there_are_written_anew(tmp_path: Path, made: Path, form: str) -> None:
    images = tmp_path / "imgs"

    def labels(folder: Path) -> dict[str, bytes]:
        path, _ = write_as(form, folder, open_results(made), {}, images=images, tolerance=DEFAULT_TOLERANCE)
        files = {str(own.relative_to(path)): own for own in path.rglob("*") if own.is_file() or own.is_symlink()}
        return {
            name: os.fsencode(own.readlink()) if own.is_symlink() else own.read_bytes() for name, own in files.items()
        }

    old = labels(tmp_path / "new")
    value = json.loads(made.read_text())
    del value["annotations"][1:]
    made.write_text(json.dumps(value))
    expected = labels(tmp_path / "other")
    assert any(own != expected[name] for name, own in old.items())
    assert labels(tmp_path / "new") == expected


@pytest.mark.parametrize(("form", "place"), [("yolo", "a.txt"), ("labelme", "labelme/a.json"), ("voc", "voc/a.xml")])
def test_labels_that_somebody_edited_stay(
    tmp_path: Path, made: Path, form: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    def written(*, edited: bool = False) -> bytes:
        options: dict[str, Any] = {
            "images": tmp_path / "imgs",
            "tolerance": DEFAULT_TOLERANCE,
            "overwrite_edited": edited,
        }
        write_as(form, tmp_path / "new", open_results(made), {}, **options)
        return (tmp_path / "new" / place).read_bytes()

    ours = written()
    assert written() == ours and "kept" not in caplog.text
    (tmp_path / "new" / place).write_bytes(b"")  # as if there were no objects, which other labels say too
    assert written() == b"" and f"kept: 1 ({tmp_path / 'new' / place})" in caplog.text
    assert written(edited=True) == ours


@pytest.mark.parametrize("form", ["yolo", "yolo-seg", "labelme", "voc", "geojson"])
def test_labels_of_images_that_failed_go(tmp_path: Path, made: Path, form: str) -> None:
    images = tmp_path / "imgs"
    path, _ = write_as(form, tmp_path / "new", open_results(made), {}, images=images, tolerance=DEFAULT_TOLERANCE)
    assert any(own.stem == "b" for own in path.rglob("*"))
    names = [(image["id"], image["file_name"]) for image in json.loads(made.read_text())["images"]]
    lines = [{"image_id": n, "file_name": name, "width": 9, "height": 9, "error": "no memory"} for n, name in names]
    (tmp_path / "x.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_as(
        form, tmp_path / "new", open_results(tmp_path / "x.ndjson"), {}, images=images, tolerance=DEFAULT_TOLERANCE
    )
    assert not any(own.stem in ("a", "b") for own in path.rglob("*"))


def test_pictures_that_somebody_put_there_stay(tmp_path: Path, made: Path) -> None:
    images = tmp_path / "imgs"
    write_as("yolo-seg", tmp_path / "new", open_results(made), {}, images=images, tolerance=DEFAULT_TOLERANCE)
    link = tmp_path / "new/yolo-seg/images/a.jpg"
    link.unlink()
    link.write_bytes(b"a picture")
    write_as("yolo-seg", tmp_path / "new", open_results(made), {}, images=images, tolerance=DEFAULT_TOLERANCE)
    assert link.read_bytes() == b"a picture"


def test_labels_stay_where_new_ones_cannot_be_made(tmp_path: Path, made: Path) -> None:
    path, _ = write_as("yolo", tmp_path / "new", open_results(made), {}, tolerance=DEFAULT_TOLERANCE)
    before = {own: own.read_bytes() for own in path.iterdir() if own.is_file()}
    value = json.loads(made.read_text())
    value["annotations"] = []
    value["images"] = [{"id": image["id"], "file_name": image["file_name"]} for image in value["images"]]
    made.write_text(json.dumps(value))
    with pytest.raises(HqsamError, match="of unknown size"):
        write_as("yolo", tmp_path / "new", open_results(made), {}, tolerance=DEFAULT_TOLERANCE)
    assert {own: own.read_bytes() for own in path.iterdir() if own.is_file()} == before


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    value = document("a", first=5)
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"segmentation": None}, "yolo-seg", "annotation 10 has no mask; choose a box format"),
        ({"segmentation": [[1, 2]]}, "cvat", "annotation 10: its mask is neither RLE nor polygons"),
        ({"segmentation": {"size": [9, 9], "counts": "x"}}, "cvat", "annotation 10: its mask is 9 x 9 pixels"),
        ({"category_id": None}, "cvat", "annotation 10 has no category_id; fix the file"),
        ({"bbox": None}, "yolo", "annotation 10 has no bbox; fix the file"),
        ({"bbox": [1, 2, 3]}, "voc", "annotation 10 has no bbox; fix the file"),
    ]
    for change, form, said in cases:
        changed = {**value, "annotations": [{**value["annotations"][0], **change}]}
        (tmp_path / "x.json").write_text(json.dumps(changed))
        with pytest.raises(HqsamError, match=rf"x\.json: {said}"):
            write_as(form, tmp_path / "y", open_results(tmp_path / "x.json"), {}, tolerance=DEFAULT_TOLERANCE)
    (tmp_path / "x.json").write_text(json.dumps(value["annotations"]))
    with pytest.raises(HqsamError, match="no image names"):
        write_as("yolo", tmp_path / "y", open_results(tmp_path / "x.json"), {}, tolerance=DEFAULT_TOLERANCE)
    unsized = {**value, "images": [{"id": 5, "file_name": "a.jpg"}]}
    (tmp_path / "x.json").write_text(json.dumps(unsized))
    with pytest.raises(HqsamError, match=r"a\.jpg: an image of unknown size"):
        write_as("yolo", tmp_path / "y", open_results(tmp_path / "x.json"), {}, tolerance=DEFAULT_TOLERANCE)


def lines_of(results: Results) -> list[str]:
    return [text for problems in results.problems for text in problems]


@pytest.mark.parametrize(
    ("form", "change", "said"),
    [
        ("yolo-seg", {"segmentation": [[1, 2, 3, 4]]}, "annotation 10: its mask is neither RLE nor polygons with an"),
        ("labelme", {"segmentation": []}, "annotation 10 has no mask"),
        ("cvat", {"segmentation": None}, "annotation 10 has no mask"),
        ("labelstudio", {"segmentation": {"size": [9, 9], "counts": "x"}}, "annotation 10: its mask is 9 x 9 pixels"),
        ("coco", {"segmentation": [[1, 2, 3, 4]]}, "annotation 10: its mask is neither RLE nor polygons with an area"),
        ("voc", {"bbox": [1, 2, 3]}, "annotation 10 has no bbox"),
        ("yolo", {"category_id": None}, "annotation 10 has no category_id"),
    ],
)
def test_one_entry_does_not_end_a_conversion(tmp_path: Path, form: str, change: dict[str, Any], said: str) -> None:
    value = document("ab", first=5)
    value["annotations"][0] |= change
    (tmp_path / "x.json").write_text(json.dumps(value))
    results = open_results(tmp_path / "x.json")
    assert lines_of(results) == []
    path, _ = write_as(
        form, tmp_path / "y", results, {}, images=tmp_path, segmentation="rle" if form == "coco" else None
    )
    (line,) = lines_of(results)
    assert line.startswith(f"{tmp_path / 'x.json'}: annotations that cannot be converted, left out: 1 ({said}")
    if form == "yolo":
        assert [(path / f"{name}.txt").read_text().count("\n") for name in "ab"] == [1, 2]
    elif form == "coco":
        assert [own["id"] for own in json.loads(path.read_text())["annotations"]] == [11, 12, 13]


def test_an_image_of_unknown_size_is_left_out_or_as_large_as_its_photo(tmp_path: Path) -> None:
    value = document("ab", first=5)
    del value["images"][1]["height"]
    (tmp_path / "x.json").write_text(json.dumps(value))
    results = open_results(tmp_path / "x.json")
    path, _ = write_as("yolo", tmp_path / "y", results, {})
    assert not (path / "b.txt").exists() and (path / "a.txt").read_text().count("\n") == 2
    assert lines_of(results) == [f"{tmp_path / 'x.json'}: images of unknown size, left out: 1 (b.jpg)"]
    Image.new("RGB", (20, 10)).save(tmp_path / "b.jpg")
    path, _ = write_as("yolo", tmp_path / "z", open_results(tmp_path / "x.json"), {}, images=tmp_path)
    assert (path / "b.txt").read_text() == (path / "a.txt").read_text()


def test_results_without_a_score_are_counted(tmp_path: Path) -> None:
    value = document("ab", first=5)
    del value["annotations"][0]["score"]
    value["annotations"][1]["score"] = None
    (tmp_path / "x.json").write_text(json.dumps(value))
    results = open_results(tmp_path / "x.json")
    write_as("results", tmp_path / "y.json", results, {})
    (line,) = lines_of(results)
    assert line.endswith("results without a score, which evaluation requires: 2 (annotation 10, annotation 11)")


@pytest.mark.parametrize("form", ["yolo-seg", "labelme", "voc", "cvat", "coco", "ndjson"])
def test_images_of_another_size_than_their_photo_are_left_out(tmp_path: Path, form: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps(document("abcd", first=5)))
    images = tmp_path / "imgs"
    images.mkdir()
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (20, 10)).save(images / "a.jpg")
    Image.new("RGB", (40, 20)).save(images / "b.jpg")
    Image.new("RGB", (20, 10)).save(images / "c.jpg", exif=turned)
    Image.new("RGB", (10, 20)).save(images / "d.jpg", exif=turned)
    results = open_results(tmp_path / "x.json")
    path, _ = write_as(form, tmp_path / "y", results, {}, images=images)
    (line,) = lines_of(results)
    assert line.removeprefix(f"{tmp_path / 'x.json'}: ") == (
        "images of another size than their photo, left out: 2 (b.jpg is 40 x 20 pixels, but its annotations are for "
        "20 x 10, c.jpg is 10 x 20 pixels, but its annotations are for 20 x 10)"
    )
    if path.is_dir():
        labels = {own.stem for own in path.rglob("*") if own.suffix in (".txt", ".xml", ".json") and len(own.stem) == 1}
        assert labels == {"a", "d"}
    elif form == "coco":
        assert [image["file_name"] for image in json.loads(path.read_text())["images"]] == ["a.jpg", "d.jpg"]
    for name in "abcd":
        Image.new("RGB", (10, 20)).save(images / f"{name}.jpg")
    with pytest.raises(HqsamError, match=r"a\.jpg: is 10 x 20 pixels, but its annotations are for 20 x 10; pass the"):
        write_as(form, tmp_path / "z", open_results(tmp_path / "x.json"), {}, images=images)


def test_photos_are_compared_in_the_orientation_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "instances.json").write_text(json.dumps(document("a", first=5)))
    (tmp_path / "journal.ndjson").write_text('{"identity": {"exif": "ignore"}}\n')
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg", exif=turned)
    results = open_results(tmp_path)
    write_as("voc", tmp_path / "y", results, {}, images=tmp_path)
    assert lines_of(results) == [] and (tmp_path / "y/voc/a.xml").is_file()


def test_an_image_that_failed_and_was_done_again_has_its_annotations(tmp_path: Path) -> None:
    done = {"file_name": "a.jpg", "width": 20, "height": 10}
    lines = [{**done, "error": "no memory"}, {**done, "annotations": [{"category_id": 1, "bbox": [1, 1, 2, 2]}]}]
    (tmp_path / "x.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    path, _ = write_as("yolo", tmp_path / "y", open_results(tmp_path / "x.ndjson"), {}, tolerance=DEFAULT_TOLERANCE)
    assert (path / "a.txt").read_text() == "0 0.10000000 0.20000000 0.10000000 0.20000000\n"
    assert {own.name for own in path.iterdir()} == {"a.txt", "classes.txt", "labels.sha256"}


def test_what_stands_in_the_way_is_named(tmp_path: Path, made: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "new/classes.txt").mkdir(parents=True)
    for path, form, said in (
        (tmp_path / "file/x", "coco", r"file/x: cannot be written \(.*\); pass another path"),
        (tmp_path / "file/x", "yolo", r"file/x: cannot be written \(.*\); pass another path"),
        (tmp_path / "new", "yolo", r"new/classes\.txt: cannot be written \(.*\); pass another path"),
    ):
        with pytest.raises(HqsamError, match=said):
            write_as(form, path, open_results(made), {}, tolerance=DEFAULT_TOLERANCE)
    with pytest.raises(HqsamError, match=r"file/x: cannot be written"):
        write_same(tmp_path / "file/x", open_results(made), {})
