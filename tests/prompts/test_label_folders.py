"""Folders with a file of labels an image: YOLO's of every kind, VOC's, labelme's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hqsam_cli.configs import PromptConfig
from hqsam_cli.errors import HqsamError
from hqsam_cli.formats.voc import VocWriter
from hqsam_cli.io.find import SourceImage
from hqsam_cli.prompts.fit import check_used, fit_prompts
from hqsam_cli.prompts.read import read_prompts
from hqsam_cli.prompts.table import PromptTable, bind_prompts
from hqsam_cli.records import ImageRecord, Instance, MaskCrop, NormalizedPolygon, Prompt


def bound(folder: Path, files: dict[str, str | bytes], names: list[str], **uses: str) -> PromptTable:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    images = [SourceImage(str(folder / "photos" / name), name) for name in names]
    return bind_prompts(read_prompts(PromptConfig(**(uses or {"boxes": str(folder)}))), images)  # type: ignore[arg-type]


def prompts(table: PromptTable, name: str = "a.jpg") -> list[Prompt]:
    """Of a photo of 100 x 100 pixels."""
    return fit_prompts(table.for_image(name), 100, 100)[0]


POSE = "0 0.5 0.5 0.4 0.2 " + " ".join(["0.45 0.5 0.91"] * 17)


@pytest.mark.parametrize(
    ("line", "box", "score"),
    [
        ("0 0.5 0.5 0.4 0.2", (30, 40, 70, 60), None),
        ("0 0.5 0.5 0.4 0.2 0.9", (30, 40, 70, 60), 0.9),
        ("0 0.5 0.5 0.4 0.2 0.9 17", (30, 40, 70, 60), 0.9),
        ("0 0.5 0.5 0.4 0.2 0.9 1", (30, 40, 70, 60), 0.9),
        ("0 0.5 0.5 0.4 0.2 17", (30, 40, 70, 60), None),
        ("0 0.3 0.4 0.7 0.5 0.5 0.6", (30, 40, 70, 60), None),
        ("0 0.3 0.4 0.7 0.5 0.5 0.6 0.75", (30, 40, 70, 60), 0.75),
        ("0 0.3 0.5 0.5 0.4 0.7 0.5 0.5 0.6", (30, 40, 70, 60), None),
        ("0 0.3 0.5 0.5 0.4 0.7 0.5 0.5 0.6 0.75", (30, 40, 70, 60), 0.75),
        ("0 0.3 0.5 0.5 0.4 0.7 0.5 0.5 0.6 0.75 12", (30, 40, 70, 60), 0.75),
        ("0 0.3 0.5 0.5 0.4 1 0.5 0.5 1", (30, 40, 100, 100), None),
        ("0 0.5 0.5 0.4 0.2 0.45 0.5 2 0.6 0.5 1 0 0 0", (30, 40, 70, 60), None),
        ("0 0.1 0.1 0.9 0.1 0.5 1", (10, 10, 90, 100), None),
        (POSE, (30, 40, 70, 60), None),
        (f"{POSE} 0.8 3", (30, 40, 70, 60), 0.8),
        (f"{POSE} 0.8", (30, 40, 70, 60), 0.8),
        ("0 0.5 0.5 0.4 0.2 0.45 0.5 2 0.6 0.5 1 0 0 0 0.8", (30, 40, 70, 60), 0.8),
        ("0 " + " ".join(["0.3 0.4 0.7 0.5"] * 14), (30, 40, 70, 50), None),
    ],
)
def test_lines_of_every_kind_are_boxes(tmp_path: Path, line: str, box: tuple[float, ...], score: float | None) -> None:
    (prompt,) = prompts(bound(tmp_path, {"a.txt": f"0 0.5 0.5 1 1\n{line}\n"}, ["a.jpg"]))[1:]
    assert prompt.box == pytest.approx(box) and prompt.score == score


def test_polygons_are_coarse_masks_joined_to_their_boxes(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"a.txt": "0 0.2 0.2 0.8 0.2 0.8 0.8 0.2 0.8\n1 0.5 0.5 0.1 0.1\n"}
    folder = str(tmp_path)
    first, second = prompts(bound(tmp_path, files, ["a.jpg"], boxes=folder, coarse_masks=folder))
    assert first.mask is not None and first.mask.sum() == pytest.approx(3600, abs=200)
    assert first.box == pytest.approx((20, 20, 80, 80)) and second.mask is None
    (alone,) = prompts(bound(tmp_path, files, ["a.jpg"], coarse_masks=folder))
    assert alone.box is None and np.array_equal(alone.mask, first.mask)  # type: ignore[arg-type]


def test_the_root_of_a_data_set_of_ultralytics(tmp_path: Path) -> None:
    yaml = "path: .\ntrain: images/train\nkpt_shape: [2, 2]\nnames:\n  0: cat\n  1: d\u00f6g\n"
    files = {"labels/train/a.txt": "1 0.5 0.5 0.4 0.2 0.5 0.5 0.4 0.5\n", "data.yaml": yaml, "README.txt": "hello"}
    for names in (["images/train/a.jpg"], ["a.jpg"]):
        table = bound(tmp_path, files, names)  # type: ignore[arg-type]
        (prompt,) = prompts(table, names[0])
        assert prompt.box == pytest.approx((30, 40, 70, 60)) and prompt.category_id == 2
        assert table.categories == [{"id": 1, "name": "cat"}, {"id": 2, "name": "d\u00f6g"}]
        assert table.notes.lost == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("classes.txt", "chat\r\np\u00e8re\r\n".encode("cp1252")),
        ("classes.txt", "\ufeffchat\np\u00e8re\n".encode()),
        ("obj.names", "chat\np\u00e8re\n".encode("utf-16")),
        ("data.yaml", "names: [chat, p\u00e8re]".encode()),
        ("birds-v2.yml", "path: .\nnames: {0: chat, 1: p\u00e8re}".encode()),
    ],
)
def test_names_of_classes_in_any_file_and_encoding(tmp_path: Path, name: str, content: bytes) -> None:
    table = bound(tmp_path, {name: content, "a.txt": b"\xef\xbb\xbf0 0.5 0.5 1 1\r\n"}, ["a.jpg"])
    assert table.categories == [{"id": 1, "name": "chat"}, {"id": 2, "name": "p\u00e8re"}]
    assert len(prompts(table)) == 1 and table.notes.lost == []


VOC = """<annotation><filename>{name}</filename><size><width>100</width><height>100</height></size>
<object><name>dog</name><bndbox><xmin>10</xmin><ymin>20</ymin><xmax>30.5</xmax><ymax>40</ymax></bndbox></object>
<object><name>cat</name><bndbox><xmin>10</xmin><ymin>x</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>
</annotation>"""


def test_xml_of_voc(tmp_path: Path) -> None:
    table = bound(tmp_path, {"Annotations/a.xml": VOC.format(name="whatever.png"), "b.xml": "no xml"}, ["a.jpg"])
    (prompt,) = prompts(table)
    assert prompt.box == (10, 20, 30.5, 40) and prompt.category_id == 1
    assert table.categories == [{"id": 1, "name": "dog"}]
    lost, odd = table.notes.lost
    assert "b.xml" in odd and "without bbox, skipped: 1 (Annotations/a.xml: object 2 of Annotations/a)" in lost


def test_a_rotation_in_voc_is_applied_as_cvat_means_it(tmp_path: Path) -> None:
    attribute = "<attributes><attribute><name>rotation</name><value>90.0</value></attribute></attributes>"
    box = "<bndbox><xmin>40.0</xmin><ymin>35.5</ymin><xmax>60.0</xmax><ymax>44.5</ymax></bndbox>"
    xml = f"<annotation><object><name>dog</name>{attribute}{box}</object></annotation>"
    (prompt,) = prompts(bound(tmp_path, {"a.xml": xml}, ["a.jpg"]))
    assert prompt.box == pytest.approx((45.5, 30, 54.5, 50))


def test_voc_as_written_comes_back_to_the_pixel(tmp_path: Path) -> None:
    boxes = {1: (0, 0, 1, 1), 2: (7, 3, 8, 30), 3: (99, 0, 100, 100), 4: (0, 0, 100, 100)}
    annotations = []
    for number, (x0, y0, x1, y1) in boxes.items():
        mask = np.zeros((100, 100), bool)
        mask[y0:y1, x0:x1] = True
        annotations.append(Instance(Prompt(number, 1), MaskCrop.whole(mask), 0.9).to_coco(1))
    record = ImageRecord("a.jpg", 1, (100, 100), annotations)
    (tmp_path / "a.xml").write_bytes(VocWriter(tmp_path, [{"id": 1, "name": "cat"}]).label(record, "a.xml"))
    assert [p.box for p in prompts(bound(tmp_path, {}, ["a.jpg"]))] == list(boxes.values())


def test_a_box_format_is_not_of_files_that_say_what_their_numbers_are(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(VOC.format(name="a.jpg"))
    for box_format in ("xywh", "xyxy", "cxcywhn"):
        (found,) = read_prompts(PromptConfig(boxes=str(tmp_path), box_format=box_format)).files
        assert [(a.field, a.value) for a in found.annotations] == [("box", (10, 20, 30.5, 40))]


def test_many_parts_of_one_object_are_joined(tmp_path: Path) -> None:
    shapes = [{"label": "x", "group_id": 1, "points": [[n, 0], [n + 1, 0], [n, 2]]} for n in range(3000)]
    (tmp_path / "a.json").write_text(json.dumps({"shapes": shapes}))
    given = read_prompts(PromptConfig(boxes=str(tmp_path), coarse_masks=str(tmp_path)))
    assert [(file.entries, len(file.annotations)) for file in given.files] == [(1, 1), (1, 1)]
    assert given.files[0].annotations[0].value == (0, 0, 3000, 2)
    assert len(given.files[1].annotations[0].value) == 3000


def test_an_xml_with_entities_is_not_expanded(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>'
    assert "a.xml" in bound(tmp_path, {"a.xml": bomb, "b.xml": VOC}, ["b.jpg"]).notes.lost[-1]


def test_json_of_labelme(tmp_path: Path) -> None:
    shapes: list[dict[str, Any]] = [
        {"label": "dog", "points": [[30, 40], [10, 20]], "shape_type": "rectangle"},
        {"label": "cat", "points": [[10, 20], [30, 20], [30, 40]], "shape_type": "polygon"},
        {"label": "cat", "points": [[10, 20], [30, 20]], "shape_type": "line"},
    ]
    document = {"imagePath": "..\\photos\\a.jpg", "imageWidth": 100, "imageHeight": 100, "shapes": shapes}
    files: dict[str, str | bytes] = {"a.json": json.dumps(document)}
    table = bound(tmp_path, files, ["a.jpg"])
    assert [p.box for p in prompts(table)] == [(10, 20, 30, 40)] * 2
    assert [c["name"] for c in table.categories] == ["dog", "cat"]
    assert "circles, masks or points, skipped: 1 (a.json: shape 3)" in table.notes.lost[0]
    folder = str(tmp_path)
    joined = prompts(bound(tmp_path, files, ["a.jpg"], boxes=folder, coarse_masks=folder))
    assert [p.mask is not None for p in joined] == [False, True]


def test_a_folder_of_something_else_says_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(HqsamError, match="contains no labels"):
        bound(tmp_path, {}, ["a.jpg"])


def test_an_image_may_be_called_test_and_a_text_about_labels_is_none(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "test.txt": "0 0.5 0.5 1 1\n",
        "train.txt": "./a.jpg\n",
        "README.txt": "Hello.",
    }
    table = bound(tmp_path, files, ["test.jpg"])
    assert len(table.for_image("test.jpg").prompts) == 1 and table.notes.lost == []


def test_the_photos_of_a_data_set_are_no_coarse_masks(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"labels/a.txt": "0 0.1 0.1 0.9 0.1 0.9 0.9\n", "images/a.png": b"a photo"}
    (prompt,) = bound(tmp_path, files, ["a.png"], coarse_masks=str(tmp_path)).for_image("a.png").prompts
    assert isinstance(prompt.mask, NormalizedPolygon)


def test_a_first_track_id_is_known_by_the_others(tmp_path: Path) -> None:
    lines = "0 0.2 0.2 0.4 0.2 0.4 0.4 0.2 0.4 0.87 1\n0 0.2 0.2 0.4 0.2 0.4 0.4 0.2 0.4 0.9 7\n"
    first, second = prompts(bound(tmp_path, {"a.txt": lines}, ["a.jpg"]))
    assert first.box == second.box == pytest.approx((20, 20, 40, 40)) and (first.score, second.score) == (0.87, 0.9)


@pytest.mark.parametrize(
    "files",
    [
        {"a.txt": "0,0.4,0.5,0.3,0.4\n"},
        {"a.json": json.dumps({"shapes": [{"label": "x", "points": [[1, 1]], "shape_type": "point"}]})},
        {"a.json": json.dumps({"shapes": {}})},
    ],
)
def test_labels_none_of_which_is_one_are_a_failure(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(str(text))
    images = [SourceImage("a.jpg", "a.jpg")]
    with pytest.raises(
        HqsamError, match=r"none of its 1 prompts can be used|contains no labels; a\.json|between 0 and 1"
    ):
        given = read_prompts(PromptConfig(boxes=str(tmp_path)))
        check_used(given, bind_prompts(given, images), images)


def test_labels_of_two_kinds_are_not_lost_in_silence(tmp_path: Path) -> None:
    table = bound(tmp_path, {"a.txt": "0 0.5 0.5 1 1\n", "c.txt": "", "b.xml": VOC}, ["a.jpg", "b.jpg", "c.jpg"])
    assert any("Pascal VOC in a folder of YOLO labels, skipped: 1 (b.xml)" in text for text in table.notes.lost)


def test_a_data_set_whose_parts_hold_images_and_labels(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "train/labels/a.txt": "0 0.5 0.5 1 1\n",
        "valid/labels/a.txt": "1 0.5 0.5 1 1\n",
        "README.roboflow.txt": "Hello.",
        "train/__MACOSX/labels/b.txt": "0 0.5 0.5 1 1\n",
    }
    table = bound(tmp_path, files, ["train/images/a.jpg", "valid/images/a.jpg", "train/images/b.jpg"])
    found = [prompts(table, f"{part}/images/a.jpg")[0].category_id for part in ("train", "valid")]
    assert found == [1, 2] and table.notes.lost == [] and not table.for_image("train/images/b.jpg").prompts


def test_xml_and_json_in_other_encodings(tmp_path: Path) -> None:
    chinese = VOC.replace("dog", "\u72d7")
    files: dict[str, str | bytes] = {
        "a.xml": f"<?xml version='1.0' encoding='gb2312'?>{chinese}".encode("gb2312"),
        "b.xml": VOC.replace("<annotation>", "<annotation xmlns='urn:voc'>").encode(),
    }
    table = bound(tmp_path, files, ["a.jpg", "b.jpg"])
    assert [category["name"] for category in table.categories] == ["\u72d7", "dog"]
    shape = {"label": "p\u00e8re", "points": [[1, 1], [9, 9]], "shape_type": "rectangle"}
    document = json.dumps({"shapes": [shape]}, ensure_ascii=False).encode("latin-1")
    assert len(prompts(bound(tmp_path / "json", {"a.json": document}, ["a.jpg"]))) == 1


def test_names_and_key_points_may_be_in_two_files(tmp_path: Path) -> None:
    files = {
        "classes.txt": "cat\n",
        "data.yaml": "kpt_shape: [2, 3]\nweights: !torch x\n",
        "a.txt": "0 0.5 0.5 0.4 0.2 0.5 0.5 0.9 0.4 0.5 0.8\n",
    }
    table = bound(tmp_path, files, ["a.jpg"])  # type: ignore[arg-type]
    (prompt,) = prompts(table)
    assert prompt.box == pytest.approx((30, 40, 70, 60)) and table.categories[0]["name"] == "cat"


RECTANGLE = {"label": "dog", "points": [[30, 40], [10, 20]], "shape_type": "rectangle"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "0 0.2 0.3 0.2 0.2"),
        ("a.xml", VOC),
        ("a.json", json.dumps({"shapes": [RECTANGLE]})),
    ],
)
def test_a_single_label_file_is_read_like_its_folder(tmp_path: Path, name: str, content: str) -> None:
    files: dict[str, str | bytes] = {name: content, "classes.txt": "dog\n"}
    whole, single = (bound(tmp_path, files, ["a.jpg"], boxes=str(path)) for path in (tmp_path, tmp_path / name))
    assert [p.box for p in prompts(single)] == [p.box for p in prompts(whole)] and len(prompts(single)) == 1
    assert single.categories == whole.categories == [{"id": 1, "name": "dog"}]


def test_files_of_many_images_are_read_from_a_folder_each_with_ids_of_its_own(tmp_path: Path) -> None:
    def part(name: str, category: str) -> str:
        box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 20, 20]}
        images, categories = [{"id": 1, "file_name": name}], [{"id": 1, "name": category}]
        return json.dumps({"images": images, "annotations": [box], "categories": categories})

    files: dict[str, str | bytes] = {"train.json": part("a.jpg", "cat"), "val.json": part("b.jpg", "dog")}
    table = bound(tmp_path, files, ["a.jpg", "b.jpg"])
    names = {category["id"]: category["name"] for category in table.categories}
    found = [prompts(table, name) for name in ("a.jpg", "b.jpg")]
    assert [(p.box, names[p.category_id]) for (p,) in found] == [((10, 20, 30, 40), "cat"), ((10, 20, 30, 40), "dog")]


def test_labels_as_label_studio_names_them_and_classes_that_no_file_names(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"0a1b2c3d-a.txt": "0 0.5 0.5 1 1\n", "ci.yml": "on: push", "b.yaml": "names: [x]"}
    table = bound(tmp_path, {**files, "c.yaml": "names: [y]"}, ["a.jpg"])  # which of the two is unknown
    assert len(prompts(table)) == 1 and table.categories == [{"id": 1, "name": "object"}]
    assert any("classes whose name is not found: 1 (category 1)" in text for text in table.notes.remarks)
