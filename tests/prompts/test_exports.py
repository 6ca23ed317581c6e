"""Boxes and polygons of Label Studio, CVAT, CSV and Parquet, and of what this package wrote for them itself."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hqsam_cli.errors import HqsamError
from hqsam_cli.formats import WRITERS
from hqsam_cli.formats.segmentation import decode_segmentation
from hqsam_cli.prompts.prompt_file import PromptFile, Use
from hqsam_cli.prompts.read import read_prompt_file
from tests.formats.shapes import HEIGHT, WIDTH, a_run, drawn, iou, written


def read(content: str | bytes, use: Use = "box", **options: Any) -> PromptFile:
    content = content.encode() if isinstance(content, str) else content
    return read_prompt_file("-", use, stdin=io.BytesIO(content), **options)


def boxes(file: PromptFile) -> list[tuple[Any, ...]]:
    """The name of the image, the corners, the class and the score of each box."""
    return [(file.images[a.key].name, a.value, a.category_name, a.score) for a in file.annotations]


EXPECTED = [
    ("imgs/a.jpg", (10, 20, 30.5, 40), "red bag", 0.5),
    ("imgs/a.jpg", (1, 2, 3, 4), "ladder", None),
    ("b, c.jpg", (5, 6, 7, 8), None, 1.0),
]


@pytest.mark.parametrize(
    "text",
    [
        "file,x0,y0,x1,y1,label,score\nimgs/a.jpg,10,20,30.5,40,red bag,0.5\nimgs/a.jpg,1,2,3,4,ladder,\n"
        '"b, c.jpg",5,6,7,8,,1\n',
        "\ufeffScore;Class;ymax;xmax;ymin;xmin;Filename\n0.5;red bag;40;30.5;20;10;imgs/a.jpg\n"
        ";ladder;4;3;2;1;imgs/a.jpg\n1;;8;7;6;5;b, c.jpg\n",
        "image\tx1\ty1\tx2\ty2\tclass\tconf\nimgs/a.jpg\t10\t20\t30.5\t40\tred bag\t0.5\n"
        "imgs/a.jpg\t1\t2\t3\t4\tladder\t\nb, c.jpg\t5\t6\t7\t8\t\t1\n",
    ],
)
def test_tables_of_every_kind(text: str) -> None:
    file = read(text)
    assert boxes(file) == EXPECTED
    assert (file.kind, file.notes.lost, file.notes.remarks) == ("CSV", [], [])


def test_a_row_without_a_box_is_an_image_that_has_none() -> None:
    file = read("file,x0,y0,x1,y1\na.jpg,,,,\nb.jpg,1,2,3,4\nb.jpg,1,2,x,4\nb.jpg,5,5,5,9\n")
    assert [image.name for image in file.images.values()] == ["a.jpg", "b.jpg"]
    assert len(file.annotations) == 1
    assert [sentence.split(",")[0] for sentence in file.notes.lost] == [
        "stdin: annotations whose bbox is not four finite numbers",
        "stdin: annotations whose bbox has no area",
    ]


def test_other_boxes_in_a_table_need_a_word() -> None:
    shares = "file,x0,y0,x1,y1\na.jpg,0.1,0.2,0.3,0.4\n"
    with pytest.raises(HqsamError, match=r"between 0 and 1.*or xyxy if they are pixels"):
        read(shares)
    assert read(shares, box_format="xyxyn").annotations[0].value == (0.1, 0.2, 0.3, 0.4)
    assert read("file,x0,y0,x1,y1\na.jpg,1,2,3,4\n", box_format="xywh").annotations[0].value == (1, 2, 4, 6)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("file,left,top\na.jpg,1,2\n", "without the columns file, x0, y0, x1, y1; it has file, left, top"),
        ("x0,y0,x1,y1\n1,2,3,4\n", "without the columns file"),
        ("hello, this is a letter\n", "text, with the first line"),
        (b"PK\x03\x04rest", "a zip archive; extract it"),
        (b"PAR1 and nothing", "Parquet that cannot be read"),
        ("<annotations><track/></annotations>", "CVAT for video; export it as CVAT for images 1.1"),
        ("<annotation><object/></annotation>", "labels of an image without its name; pass a file of its name"),
        ("<project/>", "XML with the root element project"),
        ("<annotations", "XML that is broken"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><annotations/>', "declares entities"),
    ],
)
def test_what_is_of_no_use_is_named(content: str | bytes, reason: str) -> None:
    with pytest.raises(HqsamError, match=f"^stdin: .*{reason}"):
        read(content)


def test_parquet_is_a_table_too() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names, corners, labels, scores = zip(*EXPECTED, strict=True)
    columns = dict(zip(("x0", "y0", "x1", "y1"), map(list, zip(*corners, strict=True)), strict=True))
    table = pyarrow.table({"file": names, **columns, "label": labels, "score": scores})
    written = io.BytesIO()
    parquet.write_table(table, written)
    file = read(written.getvalue())
    assert boxes(file) == EXPECTED
    assert file.kind == "Parquet"


def region(value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "r1", "original_width": 200, "original_height": 100, "image_rotation": 0, "value": value, **more}


RECTANGLE = {"x": 10, "y": 20, "width": 20, "height": 10, "rotation": 0, "rectanglelabels": ["cat"]}
TURNED = {"x": 50, "y": 20, "width": 20, "height": 10, "rotation": 90, "rectanglelabels": ["cat"]}
POLYGON = {"points": [[10, 10], [20, 10], [20, 30]], "polygonlabels": ["dog"]}


def task(number: int, image: str, *regions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": number, "data": {"note": "no image", "image": image}, "annotations": [{"result": [*regions]}], **more}


def test_exports_of_label_studio() -> None:
    document = [
        task(1, "/data/upload/3/0a1b2c3d-a.jpg", region(RECTANGLE), region(TURNED), region(POLYGON)),
        task(2, "/data/local-files/?d=home/imgs/b%20c.jpg", region({"choices": ["good"]}), region(RECTANGLE)),
        task(3, "https://host/d.jpg?token=1", region({"rle": [1, 2], "brushlabels": ["cat"]})),
        {**task(4, "e.jpg"), "annotations": [], "predictions": [{"result": [region(RECTANGLE, score=0.25)]}]},
    ]
    file = read(json.dumps(document))
    assert file.kind == "Label Studio"
    assert [(image.name, image.size) for image in file.images.values()] == [
        ("a.jpg", (200, 100)),
        ("home/imgs/b c.jpg", (200, 100)),
        ("https://host/d.jpg?token=1", None),
        ("e.jpg", (200, 100)),
    ]
    first, turned, polygon, second, predicted = file.annotations
    assert [a.category_name for a in file.annotations] == ["cat", "cat", "dog", "cat", "cat"]
    assert first.value == second.value == pytest.approx((20, 20, 60, 30))
    assert turned.value == pytest.approx((90, 20, 100, 60))  # a quarter about its upper left corner
    assert polygon.value == pytest.approx((20, 10, 40, 30))
    assert (first.score, predicted.score) == (None, 0.25)
    assert any("brushes or key points, skipped: 1 (region 1 of task 3)" in text for text in file.notes.lost)
    assert any("whose predictions count: 1 (task 4)" in text for text in file.notes.remarks)


def test_the_short_export_of_label_studio() -> None:
    size = {"original_width": 200, "original_height": 100}
    document = [{"id": 1, "image": "a.jpg", "label": [{**RECTANGLE, **size}, {**POLYGON, **size}], "annotator": 1}]
    file = read(json.dumps(document))
    assert [a.value for a in file.annotations] == [pytest.approx((20, 20, 60, 30)), pytest.approx((20, 10, 40, 30))]


CVAT = """<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta/>
<image id="0" name="sub/a.jpg" width="40" height="30"><tag label="good"/>
<box label="cat" xtl="5" ytl="6" xbr="15" ybr="10" rotation="0.0"/>
<box label="cat" xtl="5" ytl="6" xbr="15" ybr="10" rotation="90"/>
<polygon label="dog" points="1.5,2;3,2;3,9.5" group_id="2"/>
<polygon label="dog" points="11,12;13,12;13,19" group_id="2"/>
<mask label="cat" rle="1, 2, 2, 1" left="7" top="8" width="3" height="2"/>
<polyline label="cat" points="1,2;3,4"/></image><image id="1" name="b.jpg" width="40" height="30"/></annotations>"""


def test_exports_of_cvat() -> None:
    file = read(CVAT)
    assert (file.kind, [image.name for image in file.images.values()]) == ("CVAT", ["sub/a.jpg", "b.jpg"])
    assert [a.category_name for a in file.annotations] == ["cat", "cat", "dog", "cat"]
    assert [a.value for a in file.annotations] == [
        (5, 6, 15, 10),
        pytest.approx((8, 3, 12, 13)),
        (1.5, 2, 13, 19),
        (8, 8, 10, 10),
    ]
    assert any("skipped: 1 (polyline 6 of sub/a.jpg)" in text for text in file.notes.lost)
    masks = read(CVAT, "mask")
    parts, brush = (decode_segmentation(a.value, 40, 30) for a in masks.annotations)
    assert np.argwhere(brush).tolist() == [[8, 8], [8, 9], [9, 9]]
    assert parts[3:5, 2].all() and parts[13:15, 12].all()


def test_a_rotation_kept_beside_a_box_is_applied_as_cvat_and_encord_mean_it() -> None:
    """20 x 10 pixels around (50, 40), and as much with an outline, which Encord writes as it was before."""
    box = {"id": 1, "image_id": 1, "bbox": [40, 35, 20, 10], "attributes": {"rotation": 90.0}}
    outlined = {**box, "id": 2, "segmentation": [[40, 35, 60, 35, 60, 45, 40, 45]]}
    upright = {**box, "id": 3, "attributes": {"rotation": 0.0, "occluded": False}}
    drawn_polygon = {**box, "id": 4, "segmentation": [[40, 35, 60, 35, 60, 45]]}
    annotations = [box, outlined, upright, drawn_polygon]
    document = json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": annotations})
    whole, upright_box = (45, 30, 55, 50), (40, 35, 60, 45)
    assert [a.value for a in read(document).annotations] == [*[pytest.approx(whole)] * 2, upright_box, upright_box]
    mask = decode_segmentation(read(document, "mask").annotations[1].value, 100, 100)
    assert np.array_equal(np.argwhere(mask).min(0), [30, 45]) and np.array_equal(np.argwhere(mask).max(0), [49, 54])
    slanted = {**box, "attributes": {"rotation": 30}}
    (prompt,) = read(json.dumps([{**slanted}])).annotations
    assert prompt.value == pytest.approx((38.84, 30.67, 61.16, 49.33), abs=0.01)


@pytest.mark.parametrize("name", ["labelstudio", "cvat", "labelme", "coco"])
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    run = a_run(tmp_path / "imgs", segmentation="polygon")
    path = written(WRITERS[name], run, tmp_path)
    file = read_prompt_file(str(path), "mask")
    names = {key: image.name for key, image in file.images.items()}
    own = [a for a in file.annotations if names[a.key] in ("a.jpg", "a", "a.txt")]
    assert len(own) == 5
    for annotation, mask in zip(own, drawn().values(), strict=True):
        assert iou(decode_segmentation(annotation.value, WIDTH, HEIGHT), mask.full()) > 0.99
    if name in ("coco", "labelstudio"):
        assert [a.annotation_id for a in own] == [1, 2, 3, 4, 5]


def test_labels_of_yolo_are_read_again(tmp_path: Path) -> None:
    path = written(WRITERS["yolo-seg"], a_run(tmp_path / "imgs", ("a.jpg",)), tmp_path)
    file = read_prompt_file(str(path), "box")
    found = [np.array(a.value) * [WIDTH, HEIGHT, WIDTH, HEIGHT] for a in file.annotations]
    assert len(found) == 5
    for box, (name, mask) in zip(found, drawn().items(), strict=True):
        x, y, w, h = mask.tight_box()
        if name != "parts":  # whose speck, which polygons leave out, widens its box
            assert np.abs(box - [x, y, x + w, y + h]).max() <= 1


def test_rows_of_a_table_in_json() -> None:
    rows = [
        {"filename": "imgs/a.jpg", "xmin": 10, "ymin": 20, "xmax": 30.5, "ymax": 40, "class": "red bag", "score": 0.5},
        {"filename": "imgs/a.jpg", "xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4, "class": "ladder", "score": None},
        {"filename": "b, c.jpg", "xmin": 5, "ymin": 6, "xmax": 7, "ymax": 8, "class": None, "score": 1},
    ]
    for text in (json.dumps(rows), "\n".join(map(json.dumps, rows))):
        file = read(text)
        assert (file.kind, boxes(file), file.notes.lost) == ("JSON table", EXPECTED, [])
