"""Files of other kinds, with lines of the real ones: the error names what they are."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from hqsam_cli.errors import HqsamError
from hqsam_cli.prompts.read import read_prompt_file

KITTI = "Pedestrian 0.00 0 -0.20 712.40 143.00 810.73 307.92 1.89 0.48 1.20 1.84 1.47 8.41 0.01\n"
DOTA = "2753 2408 2861 2385 2888 2468 2805 2502 plane 0\n"
MOT = "1,-1,794.27,247.59,71.245,174.88,4.56,-1,-1,-1\n2,-1,800.27,247.59,71.245,174.88,4.56,-1,-1,-1\n"
WIDER = "0--Parade/0_Parade_marchingband_1_849.jpg\n1\n449 330 122 149 0 0 0 0 0 0 \n"
YAML = "path: ../coco8\ntrain: images/train\nval: images/val\n\nnames:\n  0: person\n  1: bicycle\n"
POSE = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [10, 20, 2, 30, 40, 2], "num_keypoints": 2}
LINES = [{"image": "a.jpg", "objects": [{"bbox": [1, 2, 30, 40]}]}, {"image": "b.jpg", "objects": []}]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (KITTI, r'KITTI labels, with the first line "Pedestrian 0\.00'),
        (KITTI.replace("0.01\n", "0.01 0.93\n"), "KITTI labels"),
        (DOTA, 'DOTA labels, with the first line "2753 2408'),
        (f"imagesource:GoogleEarth\ngsd:0.146343590398\n{DOTA}", "DOTA labels"),
        ("684,8,273,116,0,0,0,0\r\n406,119,265,70,0,0,0,0\r\n", "annotations of VisDrone"),
        ("684,8,273,116,0,0,0,0,\n", "annotations of VisDrone"),
        (MOT, "annotations of MOT Challenge"),
        ("1,1,912,484,97,109,0,7,1\n2,1,912,484,97,109,0,7,1\n", "annotations of MOT Challenge"),
        (WIDER, "annotations of WIDER FACE"),
        (YAML, "the YAML of a YOLO dataset, not its labels"),
        ("0 200 100 40 20\n1 300 100 40 20\n", "YOLO labels, whose coordinates are not normalized"),
        (
            "id,label,left,top\n1,cat,3,4\n",
            'a table without columns of images and corners, with the first line "id,label',
        ),
        ("Dear all, here are the boxes.\n", 'text, with the first line "Dear all, here'),
        ("<svg xmlns='http://www.w3.org/2000/svg'/>", "XML with the root element svg"),
        ('{"shapes": ', "broken JSON"),
        (json.dumps({"version": 1, "frames": []}), "JSON, an object with the keys version, frames"),
        ("\n".join(map(json.dumps, LINES)), "JSON Lines, first an object with the keys image, objects"),
        (json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "boxes": []}), "with the keys images, boxes"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: str, what: str) -> None:
    with pytest.raises(HqsamError, match=f"^stdin: .*{what}") as caught:
        read_prompt_file("-", "box", stdin=io.BytesIO(content.encode()))
    assert "Expecting value" not in str(caught.value) or "broken JSON" in what
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "a.txt").write_text(content)
    with pytest.raises(HqsamError, match=f"contains no labels; a.txt: .*{what}"):
        read_prompt_file(str(tmp_path), "box")


def test_poses_without_boxes_are_named() -> None:
    document: dict[str, Any] = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [POSE]}
    file = read_prompt_file("-", "box", stdin=io.BytesIO(json.dumps(document).encode()))
    assert file.notes.lost == ["stdin: annotations with keypoints, but without bbox, skipped: 1 (annotation 1)"]


def test_a_good_line_does_not_hide_a_foreign_one() -> None:
    good = {"file_name": "b.jpg", "annotations": [{"bbox": [1, 2, 30, 40]}]}
    content = "\n".join(map(json.dumps, [*LINES[:1], good]))
    file = read_prompt_file("-", "box", stdin=io.BytesIO(content.encode()))
    assert [image.name for image in file.images.values()] == ["b.jpg"] and len(file.annotations) == 1
    assert file.notes.lost == ["stdin: lines without file_name and annotations, skipped: 1 (line 1)"]
