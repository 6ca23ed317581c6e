"""`hqsam results` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from tests.cli.conftest import Run
from tests.results.conftest import document
from tests.results.test_runs import journal_of


@pytest.fixture
def sets(hqsam: Run) -> None:
    """`1.json` of images a and b, `2.json` of b and c, in the working directory."""
    Path("1.json").write_text(json.dumps(document("ab", first=5)))
    Path("2.json").write_text(json.dumps(document("bc", first=6)))


def test_from_two_files_to_labels(hqsam: Run, sets: None) -> None:
    joined = hqsam("results", "merge", "1.json", "2.json", "--output", "all.json")
    assert (joined.code, joined.out) == (0, "")
    assert "all.json: images: 3, annotations: 8" in joined.err
    coco = COCO("all.json")
    assert {image["file_name"] for image in coco.imgs.values()} == {"a.jpg", "b.jpg", "c.jpg"}
    assert json.loads(Path("all.json").read_text())["info"]["command"].endswith("--output all.json")
    Path("names.txt").write_text("a.jpg\nc.jpg\n")
    chosen = hqsam(
        *("results", "filter", "all.json", "--files", "names.txt", "--categories", "dog", "--renumber"),
        *("--output", "few.json"),
    )
    assert chosen.code == 0
    assert [(a["id"], a["image_id"]) for a in COCO("few.json").anns.values()] == [(1, 1), (2, 2)]
    assert hqsam("results", "split", "all.json", "--parts", "train=0.5,val=0.5", "--output", "parts").code == 0
    counts = [len(COCO(f"parts/{name}.json").imgs) for name in ("train", "val")]
    assert sum(counts) == 3
    made = hqsam("results", "convert", "few.json", "--format", "yolo-seg", "--images", "imgs", "--output", "set")
    assert made.code == 0
    assert "few.json: COCO instances" in made.err and "polygons in yolo-seg: mean IoU" in made.err
    assert Path("set/yolo-seg/labels/c.txt").read_text().startswith("0 ")


def test_listed_photos_of_another_run_are_those_of_the_folder(hqsam: Run, photos: Path) -> None:
    assert hqsam("segment", photos, "--boxes", "dets.json", "-o", "all").code == 0
    assert hqsam("segment", "-", "--boxes", "dets.json", "-o", "again", stdin=b"imgs/sub/b.png\n").code == 0
    assert hqsam("results", "merge", "all", "again", "-o", "both.json").code == 0
    both = json.loads(Path("both.json").read_text())
    assert [image["file_name"] for image in both["images"]] == ["a.jpg", "sub/b.png"]
    assert [own["image_id"] for own in both["annotations"]] == [11, 12, 12, 12, 12]


@pytest.mark.parametrize("verb", ["filter 1.json", "convert 1.json -f coco"])
def test_masks_without_overlap(hqsam: Run, sets: None, verb: str) -> None:
    assert hqsam("results", *verb.split(), "--exclusive", "--output", "own.json").code == 0
    coco = COCO("own.json")
    assert [own["area"] for own in coco.anns.values()] == [0, 50, 0, 50]  # a small box in a large one of a higher score


def test_stats_for_people_and_for_programs(hqsam: Run, sets: None) -> None:
    shown = hqsam("results", "stats", "1.json")
    assert shown.code == 0
    assert [line.split() for line in shown.out.splitlines() if line.startswith("dog")] == [
        ["dog", "2", "50,", "50,", "50", "0.750,", "0.750,", "0.750"]
    ]
    own = json.loads(Path("1.json").read_text())
    own["categories"].append({"id": 99, "name": "unused"})
    Path("more.json").write_text(json.dumps(own))
    more = hqsam("results", "stats", "more.json").out
    assert (
        "unused" not in more and f"categories        {len(own['categories']) - 1} of {len(own['categories'])}" in more
    )
    assert json.loads(hqsam("results", "stats", "1.json", "--json").out)["images"] == 2


@pytest.mark.parametrize(
    "verb",
    [
        "merge bad.json -o x",
        "filter bad.json --score-threshold 0 -o x",
        "split bad.json --parts a=1 -o parts",
        "convert bad.json -f yolo -o labels",
        "stats bad.json",
    ],
)
def test_every_verb_names_entries_that_belong_nowhere(hqsam: Run, verb: str) -> None:
    made = document("ab", first=5)
    made["annotations"][2] |= {"image_id": 99}
    made["annotations"][3]["id"] = 0
    Path("bad.json").write_text(json.dumps(made))
    shown = hqsam("results", *verb.split())
    assert shown.code == 0
    assert "bad.json: annotations of images that are not listed, left out: 1 (annotation 12, image_id 99" in shown.err
    assert shown.err.count("annotation ids that are not positive integers, replaced: 1 (id 0)") == 1
    again = hqsam("results", *verb.split(), "--strict", *([] if verb.startswith("stats") else ["--overwrite"]))
    assert (again.code, again.out) == (3, shown.out)


@pytest.mark.parametrize(
    "verb",
    ["merge . -o x", "filter . --min-area 0 -o x", "split . --parts a=1 -o p", "convert . -f yolo -o y", "stats ."],
)
def test_every_verb_takes_an_unfinished_run(hqsam: Run, verb: str) -> None:
    journal_of(Path())
    shown = hqsam("results", *verb.split())
    assert shown.code == 0
    assert "journal.ndjson: the run has not finished: 2 of 4 images are done" in shown.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("merge 1.json 2.json -o 2.json", "2.json: already exists; pass --overwrite"),
        ("filter 1.json -o x.json", "no filter; pass --score-threshold"),
        ("filter 1.json --categories bird -o x.json", "--categories bird: no such category; there are cat, dog"),
        ("split 1.json --parts train=0.8 -o x", "--parts: fractions sum to 0.8, not 1"),
        (
            "split 1.json --parts a=1 --group-by ( -o x",
            "--group-by (: not a regular expression (missing",
        ),
        ("split 1.json --parts train=a,b=1 -o x", "--parts train=a: not NAME=FRACTION"),
        ("convert 1.json -f labelme -o x", "pass --images DIR"),
        ("convert 1.json -o x", "pass either --format or --layout"),
        ("convert 1.json -f coco --layout fiftyone -o x", "pass either --format or --layout"),
        ("convert 1.json --layout cvat -o x", "--layout cvat: unknown layout"),
        ("convert 1.json --layout fiftyone -o x", "fiftyone refers to image files; pass --images DIR"),
        ("convert 1.json -f yolo --segmentation rle -o x", "--segmentation: applies to COCO and NDJSON only"),
        ("convert 1.json -f yolo -o 2.json", "2.json: already exists"),
    ],
)
def test_mistakes_are_usage(hqsam: Run, sets: None, arguments: str, said: str) -> None:
    result = hqsam("results", *arguments.split())
    assert (result.code, said in result.err) == (2, True), result.err
    assert not Path("x.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        "merge 1.json -o /proc/x.json",
        "filter 1.json --score-threshold 0 -o /proc/new/x.json",
        "split 1.json --parts a=1 -o /proc/new",
        "convert 1.json -f coco -o /proc/x.json",
        "convert 1.json -f labelme --images imgs -o /proc/new",
    ],
)
def test_a_place_where_nothing_can_be_written_is_named(hqsam: Run, sets: None, arguments: str) -> None:
    result = hqsam("results", *arguments.split())
    assert (result.code, len(result.err.splitlines())) == (1, 1 + arguments.startswith("convert")), result.err
    assert "/proc/" in result.err and "cannot be written (No such file or directory); pass another path" in result.err


def test_a_split_replaces_all_or_nothing(hqsam: Run, sets: None) -> None:
    Path("parts").mkdir()
    Path("parts/val.json").write_text("mine")
    arguments = ("results", "split", "1.json", "--parts", "train=0.5,val=0.5", "--output", "parts")
    refused = hqsam(*arguments)
    assert (refused.code, "parts/val.json: already exists; pass --overwrite" in refused.err) == (2, True), refused.err
    assert [path.name for path in Path("parts").iterdir()] == ["val.json"]
    assert hqsam(*arguments, "--overwrite").code == 0
    assert COCO("parts/val.json").imgs is not None


def test_names_that_are_not_utf8_go_from_command_to_command(hqsam: Run) -> None:
    made = document("a\udce9", first=5)
    Path("1.json").write_text(json.dumps(made))
    assert hqsam("results", "merge", "1.json", "--output", "2.json").code == 0
    assert json.loads(Path("2.json").read_text())["images"] == made["images"]
    assert hqsam("results", "convert", "2.json", "--format", "yolo", "--output", "labels").code == 0
    assert Path("labels/\udce9.txt").is_file()
