"""Files of prompts that say nothing of the images: what earlier runs made stays."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run

IMAGES = [{"id": 11, "file_name": "a.jpg"}, {"id": 12, "file_name": "sub/b.png"}]
WRONG = {
    "empty.json": {"images": [], "annotations": [], "categories": []},
    "empty_list.json": [],
    "images.json": {"images": IMAGES},
    "odd.json": {"images": IMAGES, "annotations": [{"image_id": 11, "bbox": "?"}, {"image_id": 12, "bbox": None}]},
    "other_key.ndjson": {"file_name": "a.jpg", "objects": [{"bbox": [1, 2, 30, 40]}]},
    "other_key.jsonl": '{"image": "a.jpg", "objects": []}\n{"image": "sub/b.png", "objects": [{"bbox": [1, 2, 9, 9]}]}',
    "other_list.json": {"images": IMAGES, "objects": [{"image_id": 11, "bbox": [1, 2, 9, 9]}]},
    "predictions.json": {"predictions": [{"image": "a.jpg", "xyxy": [1, 2, 9, 9]}]},
    "unlisted.json": {"images": IMAGES, "annotations": [{"image_id": 7, "bbox": [1, 2, 9, 9]}]},
    "poses.json": {"images": IMAGES, "annotations": [{"image_id": 11, "keypoints": [10, 20, 2], "num_keypoints": 1}]},
    "crowds.json": {"images": IMAGES, "annotations": [{"image_id": 11, "bbox": [1, 2, 30, 40], "iscrowd": 1}]},
    "kitti.txt": "Car 0.00 0 1.85 387.63 181.54 423.81 203.12 1.67 1.87 3.69 -16.53 2.39 58.49 1.57\n",
    "mot.txt": "1,1,912,484,97,109,0,7,1\n2,1,912,484,97,109,0,7,1\n",
    "visdrone/a.txt": "684,8,273,116,0,0,0,0\n406,119,265,70,0,0,0,0\n",
    "dota/a.txt": "imagesource:GoogleEarth\ngsd:0.146\n27 24 28 23 28 24 28 25 plane 0\n",
    "wider.txt": "0--Parade/a.jpg\n1\n449 330 122 149 0 0 0 0 0 0\n",
    "data.yaml": "train: images\nnames: [cat]\n",
    "classes.txt": "cat\ndog\n",
    "pixels/a.txt": "0 200 100 40 20\n",
    "letter.txt": "Dear all, here are the boxes.\n",
    "drawing.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "other.csv": "id,left,top\n1,3,4\n",
    "null.ndjson": {"file_name": "a.jpg", "annotations": None},
    "failed.ndjson": {"file_name": "a.jpg", "annotations": [], "error": "a.jpg: no memory"},
    "table.csv": "file,x0,y0,x1,y1\n",
    "cvat.xml": "<annotations><version>1.1</version></annotations>",
    "labels/readme.md": "no labels",
    "yolo/a.txt": "no label\n",
    "labelme/a.json": {"shapes": [{"shape_type": "point", "points": [[1, 2]]}]},
    "voc/a.xml": "<html></html>",
}
NONE = {
    "coco.json": {"images": IMAGES[:1], "annotations": []},
    "lines.ndjson": {"file_name": "a.jpg", "annotations": []},
    "yolo/a.txt": "",
    "labelme/a.json": {"shapes": []},
    "voc/a.xml": "<annotation></annotation>",
}


def made(folder: Path, name: str, content: object) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path.parent if "/" in name else path)


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_file_that_says_nothing_takes_nothing_away(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    assert hqsam("segment", photos, "--boxes", "dets.json", "-o", "out").code == 0
    before = files(tmp_path / "out")
    for name, content in WRONG.items():
        given = made(tmp_path / "wrong", name, content)
        for option in ((), ("--strict",), ("--overwrite",), ("--dry-run",))[: 4 if name.startswith("empty") else 1]:
            ended = hqsam("segment", photos, "--boxes", given, "-o", "out", *option)
            assert ended.code == 1 and f"error: {given}" in ended.err, (name, option, ended.err)
            assert files(tmp_path / "out") == before, (name, option)
    ended = hqsam("segment", "imgs/a.jpg", "--boxes", "wrong/empty.json", "-o", "out")  # by another name
    assert ended.code == 1 and files(tmp_path / "out") == before, ended.err


def test_what_is_said_to_be_empty_goes_and_is_named(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert hqsam("segment", photos, "--boxes", "dets.json", "-o", out, "-f", "png").code == 0
    for name, content in NONE.items():
        given = made(tmp_path / "none", name, content)
        plan = hqsam("segment", photos, "--boxes", given, "-o", out, "-f", "png", "--dry-run")
        assert plan.code == 0 and "without prompts 1 (a.jpg)" in " ".join(plan.out.split()), (name, plan)
    ended = hqsam("segment", photos, "--boxes", given, "-o", out, "-f", "png", "-q")
    assert ended.code == 0 and "results removed: 1 (a.jpg)" in ended.err
    assert not (out / "masks/a.jpg").exists() and len(list((out / "masks/sub/b.png").iterdir())) == 2


def test_a_dry_run_names_what_would_become_of_images(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    assert hqsam("segment", photos, "--boxes", "dets.json", "-o", "out").code == 0
    boxes = json.loads((tmp_path / "dets.json").read_text())
    boxes["annotations"][0]["bbox"][0] += 2
    (tmp_path / "dets.json").write_text(json.dumps(boxes))
    (photos / "sub/b.png").unlink()
    before = files(tmp_path / "out")
    plan = hqsam("segment", photos, "--boxes", "dets.json", "-o", "out", "--dry-run").out
    rows = {" ".join(line.split()) for line in plan.splitlines()}
    assert {"rewritten 1 (a.jpg)", "gone 1 (sub/b.png)"} < rows and files(tmp_path / "out") == before


def test_quiet_silences_progress_and_no_losses(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    lines = [
        {"file_name": "a.jpg", "annotations": [{"bbox": [10, 20, 30, 40]}]},
        {"file_name": "sub/b.png", "boxes": []},
    ]
    (tmp_path / "two.ndjson").write_text("\n".join(map(json.dumps, lines)))
    command = ("segment", photos, "--boxes", "two.ndjson", "-o", "out", "-q")
    ended = hqsam(*command)
    assert ended.code == 0 and ended.out == ""
    assert ended.err == "hqsam: two.ndjson: lines without file_name and annotations, skipped: 1 (line 2)\n"
    assert hqsam(*command, "--strict").code == 3
