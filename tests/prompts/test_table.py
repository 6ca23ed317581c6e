"""What each image of a run is asked, from one file or several."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from hqsam_cli.configs import PromptConfig
from hqsam_cli.errors import HqsamError
from hqsam_cli.io.find import SourceImage
from hqsam_cli.prompts.fit import check_used
from hqsam_cli.prompts.prompt_file import Notes
from hqsam_cli.prompts.read import read_prompts
from hqsam_cli.prompts.table import Selection, bind_prompts, first_id
from hqsam_cli.records import Prompt
from tests.prompts.tables import ids, instances


@pytest.mark.parametrize(
    ("in_file", "in_run", "matches"),
    [
        (["a.jpg"], ["a.jpg"], {"a.jpg": [1]}),
        (["a.jpg"], ["imgs/a.jpg"], {"imgs/a.jpg": [1]}),
        (["val/a.jpg"], ["a.jpg"], {"a.jpg": [1]}),
        (["x/a.jpg", "y/a.jpg"], ["imgs/y/a.jpg"], {"imgs/y/a.jpg": [2]}),
        (["a.jpg", "imgs/a.jpg"], ["imgs/a.jpg"], {"imgs/a.jpg": [2]}),
        (["a.jpg"], ["a.jpg", "sub/a.jpg"], {"a.jpg": [1], "sub/a.jpg": []}),
        (["x/a.jpg"], ["y/a.jpg"], {"y/a.jpg": []}),
        (["aa.jpg"], ["a.jpg"], {"a.jpg": []}),
    ],
)
def test_images_match_by_name_or_by_the_end_of_a_path(
    bound: Any, in_file: list[str], in_run: list[str], matches: dict[str, list[int]]
) -> None:
    boxes = instances([(n, n) for n in range(1, 1 + len(in_file))], dict(enumerate(in_file, 1)))
    table = bound(in_run, boxes=boxes)
    assert {name: ids(table, name) for name in in_run} == matches


@pytest.mark.parametrize(
    ("in_file", "in_run"), [(["x/a.jpg", "y/a.jpg"], ["a.jpg"]), (["a.jpg"], ["x/a.jpg", "y/a.jpg"])]
)
def test_ambiguous_names_are_said_and_left_out(bound: Any, in_file: list[str], in_run: list[str]) -> None:
    table = bound(in_run, boxes=instances([(1, 1)], dict(enumerate(in_file, 1))))
    assert not any(ids(table, name) for name in in_run)
    assert any("a.jpg could be any of x/a.jpg, y/a.jpg" in text for text in table.notes.lost)


def test_an_id_of_0_is_replaced_and_told_once(bound: Any) -> None:
    table = bound(["a.jpg", "b.jpg"], boxes=instances([(0, 1), (1, 1), (-2, 2), (2, 2)], {1: "a.jpg", 2: "b.jpg"}))
    assert ids(table, "a.jpg") == [first_id("a.jpg"), 1] and ids(table, "b.jpg") == [first_id("b.jpg"), 2]
    (text,) = [text for text in table.notes.remarks if "ids" in text]
    assert text.endswith("annotation ids that are not positive integers of one object, replaced: 2 (0, -2)")


def test_names_that_are_not_utf8_match(bound: Any) -> None:
    assert ids(bound(["\udcff.jpg"], boxes=instances([(4, 1)], {1: "\udcff.jpg"})), "\udcff.jpg") == [4]


def test_results_find_images_by_stem(bound: Any) -> None:
    results = [{"image_id": 139, "bbox": [1, 2, 3, 4]}, {"image_id": "cat", "bbox": [1, 2, 3, 4]}]
    table = bound(["val/000000000139.jpg", "cat.png", "dog.png"], boxes=results)
    assert len(ids(table, "val/000000000139.jpg")) == len(ids(table, "cat.png")) == 1
    assert table.for_image("val/000000000139.jpg").image_id == 139
    assert table.notes.remarks == ["images that no prompt file mentions: 1 (dog.png)"]


def test_results_find_images_in_a_list_of_them(bound: Any) -> None:
    listed = instances([], {3: "b.jpg", 4: "../c.jpg"}, categories=[{"id": 1, "name": "person"}])
    results = [{"image_id": n, "bbox": [1, 2, 3, 4]} for n in (3, 4, 5)]
    table = bound(["b.jpg", "5.jpg"], boxes=results, images_json=listed)
    assert len(ids(table, "b.jpg")) == 1 and ids(table, "5.jpg") == []
    assert table.for_image("b.jpg").image_id == 3
    assert table.categories == [{"id": 1, "name": "person"}]
    assert len(table.outside) == 1 and "../c.jpg" in table.outside[0]
    assert any("image id 5" in text for text in table.notes.lost)


def test_results_that_fit_no_image_say_what_to_pass(bound: Any) -> None:
    with pytest.raises(HqsamError, match=r"boxes\.json: a COCO results list.* pass `images_json`"):
        bound(["a.jpg"], boxes=[{"image_id": 139, "bbox": [1, 2, 3, 4]}])
    assert bound(["a.jpg"], boxes=[]).for_image("a.jpg").prompts == []


def test_an_image_no_file_mentions_is_named_and_has_the_id_of_its_name(bound: Any) -> None:
    table = bound(["a.jpg", "b\udcff.jpg"], boxes=instances([], {5: "a.jpg"}))
    assert table.for_image("a.jpg").image_id == 5
    assert table.for_image("b\udcff.jpg").image_id == int(hashlib.sha256(b"b\xff.jpg").hexdigest()[:13], 16)
    assert table.notes == Notes([], ["images that no prompt file mentions: 1 (b\udcff.jpg)"])


def test_prompts_without_an_image_in_the_run_are_counted(bound: Any) -> None:
    table = bound(["a.jpg"], boxes=instances([(1, 1), (2, 2), (3, 2)], {1: "a.jpg", 2: "gone.jpg"}))
    assert any("2 (gone.jpg)" in text for text in table.notes.lost)


def test_ids_are_kept_where_they_are_of_one_image(bound: Any) -> None:
    names = {1: "a.jpg", 2: "b.jpg"}
    table = bound(["a.jpg", "b.jpg"], boxes=instances([(40, 1), (7, 2), ("41", 2), (9, 1), (3.0, 1)], names))
    assert (ids(table, "a.jpg"), ids(table, "b.jpg")) == ([40, 9, 3], [7, 41])
    assert table.notes == Notes()


def test_prompts_without_a_usable_id_get_one_of_their_image_and_place(bound: Any) -> None:
    names = {1: "a.jpg", 2: "b.jpg"}
    table = bound(["b.jpg", "a.jpg"], boxes=instances([(None, 2), (None, 1), (2**63, 2), ("x", 2)], names))
    first = first_id("b.jpg")
    assert (ids(table, "a.jpg"), ids(table, "b.jpg")) == ([first_id("a.jpg")], [first, first + 1, first + 2])
    assert table.notes.lost == []
    assert "annotation ids" in table.notes.remarks[0] and f"2 ({2**63}, x)" in table.notes.remarks[0]


def test_of_files_that_have_no_ids_nobody_hears_about_ids(bound: Any, tmp_path: Path) -> None:
    box = '<box label="dog" xtl="1" ytl="2" xbr="8" ybr="9" />'
    (tmp_path / "cvat.xml").write_text(f'<annotations><image name="a.jpg">{box}</image></annotations>')
    table = bound(["a.jpg"], boxes=str(tmp_path / "cvat.xml"))
    assert len(ids(table, "a.jpg")) == 1
    assert table.notes.remarks == []


def test_ids_that_begin_again_with_each_image_are_ids_of_none(bound: Any) -> None:
    names = {1: "a.jpg", 2: "b.jpg"}
    boxes = instances([(1, 1), (2, 1), (1, 2), (9, 2)], names)
    table = bound(["a.jpg", "b.jpg"], boxes=boxes)
    assert ids(table, "a.jpg") + ids(table, "b.jpg") == [
        first_id(name) + place for name in ("a.jpg", "b.jpg") for place in (0, 1)
    ]
    points = {**boxes, "annotations": [a | {"points": [[1, 1, 1]]} for a in boxes["annotations"]]}
    joined = bound(["a.jpg", "b.jpg"], boxes=boxes, points=points)
    assert ids(joined, "b.jpg") == ids(table, "b.jpg")
    assert all(p.points is not None and p.box for p in joined.for_image("b.jpg").prompts)


def test_an_id_twice_in_an_image_is_two_prompts(bound: Any) -> None:
    table = bound(["a.jpg"], boxes=instances([(1, 1), (1, 1)], {1: "a.jpg"}))
    assert ids(table, "a.jpg") == [1, first_id("a.jpg") + 1]


def test_ids_do_not_depend_on_which_images_are_in_the_run(bound: Any) -> None:
    boxes = instances([(None, 1), (None, 2), (5, 2)], {1: "a.jpg", 2: "b.jpg"})
    assert ids(bound(["b.jpg"], boxes=boxes), "b.jpg") == ids(bound(["a.jpg", "b.jpg"], boxes=boxes), "b.jpg")


def test_images_of_any_id_keep_their_boxes(bound: Any) -> None:
    names = {0: "a.jpg", -4: "b.jpg", "x1": "c.jpg", 2.5: "d.jpg", 10**30: "e.jpg", "7": "f.jpg"}
    boxes = instances([(None, key) for key in names], names)
    boxes["annotations"][-1]["image_id"] = 7
    table = bound(list(names.values()), boxes=boxes)
    assert [len(ids(table, name)) for name in names.values()] == [1] * 6
    assert [table.for_image(name).image_id for name in ("a.jpg", "b.jpg", "f.jpg")] == [0, -4, 7]
    assert all(0 <= table.for_image(name).image_id < 2**52 for name in ("c.jpg", "d.jpg", "e.jpg"))


def test_an_image_id_is_given_to_one_image(bound: Any, tmp_path: Path) -> None:
    path = tmp_path / "boxes.ndjson"
    path.write_text(
        "".join(json.dumps({"file_name": f"{n}.jpg", "image_id": 1, "annotations": []}) + "\n" for n in range(2))
    )
    table = bound(["0.jpg", "1.jpg"], boxes=str(path))
    assert table.for_image("0.jpg").image_id == 1 != table.for_image("1.jpg").image_id
    assert any("1.jpg: has the image id 1 of 0.jpg" in text for text in table.notes.remarks)


def test_equal_boxes_are_all_kept(bound: Any) -> None:
    boxes = instances([(1, 1), (2, 1)], {1: "a.jpg"})
    boxes["annotations"][1]["bbox"] = boxes["annotations"][0]["bbox"]
    assert ids(bound(["a.jpg"], boxes=boxes), "a.jpg") == [1, 2]


def test_the_threshold_and_the_number_of_boxes(bound: Any) -> None:
    scores = [(0.3,), (0.9,), (), (0.5,), (0.5,)]
    boxes = instances([(n, 1, *score) for n, score in enumerate(scores, 1)], {1: "a.jpg"})
    assert ids(bound(["a.jpg"], boxes=boxes, score_threshold=0.5), "a.jpg") == [2, 3, 4, 5]
    assert ids(bound(["a.jpg"], boxes=boxes, max_det=3), "a.jpg") == [2, 3, 4]
    assert ids(bound(["a.jpg"], boxes=boxes, max_det=4, score_threshold=0.6), "a.jpg") == [2, 3]


def test_categories_are_kept_and_never_missing(bound: Any) -> None:
    names = {1: "a.jpg"}
    assert bound(["a.jpg"], boxes=instances([(1, 1)], names)).categories == [{"id": 1, "name": "object"}]
    boxes = instances([(1, 1), (2, 1)], names, categories=[{"id": 3, "name": "cat", "supercategory": "pet"}, {"id": 3}])
    boxes["annotations"][0]["category_id"] = 3
    boxes["annotations"][1]["category_id"] = 9
    assert bound(["a.jpg"], boxes=boxes).categories == [
        {"id": 3, "name": "cat", "supercategory": "pet"},
        {"id": 9, "name": "category 9"},
    ]


def test_boxes_points_and_masks_of_one_id_are_one_prompt(bound: Any) -> None:
    boxes = instances([(1, 1, 0.5), (2, 1)], {1: "val/a.jpg"})
    points = instances([(2, 9), (2, 9), (5, 9)], {9: "a.jpg"})
    for annotation in points["annotations"]:
        annotation |= {"points": [[1, 1, 1]], "segmentation": [[0, 0, 9, 0, 9, 9]]}
    masks = {**points, "annotations": points["annotations"][1:]}
    table = bound(["imgs/a.jpg"], points=points)
    fresh = first_id("imgs/a.jpg") + 1
    assert ids(table, "imgs/a.jpg") == [2, fresh, 5]
    table = bound(["a.jpg"], boxes=boxes, points=points, coarse_masks=masks)
    first, second, *others = table.for_image("a.jpg").prompts
    assert (first.annotation_id, first.score, first.points, first.mask) == (1, 0.5, None, None)
    assert second.annotation_id == 2 and second.box is not None and second.points is not None and second.mask
    assert [(prompt.annotation_id, prompt.box, bool(prompt.mask)) for prompt in others] == [
        (first_id("a.jpg") + 2, None, False),
        (5, None, True),
    ]
    assert table.for_image("a.jpg").image_id == 1


def test_an_id_of_another_image_is_not_joined(bound: Any) -> None:
    points = instances([(1, 2)], {2: "b.jpg"})
    points["annotations"][0]["points"] = [[1, 1, 1]]
    table = bound(["a.jpg", "b.jpg"], boxes=instances([(1, 1)], {1: "a.jpg"}), points=points)
    assert (ids(table, "a.jpg"), ids(table, "b.jpg")) == ([1], [first_id("b.jpg")])
    assert any("annotation ids" in text for text in table.notes.remarks)


def test_typed_boxes_and_points_are_prompts_of_the_image(bound: Any) -> None:
    table = bound(["a.jpg"], box=("1,2,30,40", "5,6,7,8"))
    assert [prompt.box for prompt in table.for_image("a.jpg").prompts] == [(1, 2, 30, 40), (5, 6, 7, 8)]
    assert ids(table, "a.jpg") == [first_id("a.jpg"), first_id("a.jpg") + 1]
    (clicked,) = bound(["a.jpg"], box=("1,2,30,40",), point=("3,4", "5,6,0")).for_image("a.jpg").prompts
    assert clicked.box == (1, 2, 30, 40) and clicked.points is not None
    assert clicked.points.tolist() == [[3, 4, 1], [5, 6, 0]]
    assert table.notes == Notes()


def test_the_work_for_prompts_is_proportional_to_their_number(bound: Any) -> None:
    """Four times the images and boxes execute about four times the lines of code."""

    def lines_for(count: int) -> int:
        boxes = instances([(n, n % count, 0.5) for n in range(7 * count)], {n: f"val/{n:05}.jpg" for n in range(count)})
        names = [f"{n:05}.jpg" for n in range(count)]
        lines = 0

        def counted(_frame: FrameType, event: str, _argument: object) -> Any:
            nonlocal lines
            lines += event == "line"  # also of each turn of a loop or comprehension within a line
            return counted

        before = sys.gettrace()
        sys.settrace(counted)
        try:
            table = bound(names, boxes=boxes, max_det=5)
            assert sum(len(ids(table, name)) for name in names) == 5 * count
        finally:
            sys.settrace(before)
        return lines

    lines_for(1)  # imports and caches
    assert lines_for(400) < 4.1 * lines_for(100)


def test_ids_of_what_a_detector_finds_depend_on_the_image_alone() -> None:
    found = [Prompt(n, box=(0.0, 0.0, n, n), score=n / 10) for n in (1, 2, 3)]
    names = [f"sub/{number}.jpg" for number in range(1000)]
    own = {name: [p.annotation_id for p in Selection().number(name, found)] for name in names}
    assert len({number for ids in own.values() for number in ids}) == 3000
    assert all(0 < 3 * number < 2**53 for ids in own.values() for number in ids)
    best = Selection(score_threshold=0.2, max_det=1).number("sub/7.jpg", found)
    assert [(p.annotation_id, p.score) for p in best] == [(own["sub/7.jpg"][2], 0.3)]


def test_results_name_images_by_text_in_any_spelling(bound: Any) -> None:
    results = [{"image_id": key, "bbox": [1, 2, 30, 40]} for key in ("a.jpg", "imgs/b", "C", 7)]
    table = bound(["imgs/a.jpg", "imgs/b.jpg", "imgs/c.jpg", "imgs/0007.jpg"], boxes=results)
    assert [len(ids(table, f"imgs/{stem}.jpg")) for stem in ("a", "b", "c", "0007")] == [1, 1, 1, 1]


def test_a_threshold_that_lets_nothing_through_is_what_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scored.json"
    path.write_text(json.dumps(instances([(1, 1, 0.3)], {1: "a.jpg"})))
    given = read_prompts(PromptConfig(boxes=str(path)))
    images = [SourceImage("a.jpg", "a.jpg")]
    with pytest.raises(HqsamError, match="all have scores below `score_threshold`"):
        check_used(given, bind_prompts(given, images, Selection(score_threshold=0.5)), images)


def test_names_from_before_an_upload_or_an_export(bound: Any) -> None:
    images = [
        {"id": 1, "file_name": "a_jpg.rf.0f3b2c.jpg", "extra": {"name": "a.jpg"}},
        {"id": 2, "file_name": "images/5d1c9be2-77aa.jpg", "image_title": "b.jpg", "coco_url": "https://host/x"},
        {"id": 3, "file_name": "images/0a1b2c3d-c.jpg"},
        {"id": 4, "file_name": "images/0a1b2c3d-d.jpg"},
    ]
    annotations = [{"id": n, "image_id": n, "bbox": [n, 2, 30, 40]} for n in (1, 2, 3, 4)]
    names = ["a.jpg", "b.jpg", "c.jpg", "0a1b2c3d-d.jpg", "d.jpg"]
    table = bound(names, boxes={"images": images, "annotations": annotations})
    assert [ids(table, name) for name in names] == [[1], [2], [3], [4], []] and not table.notes.lost


def test_classes_of_lines_by_any_of_their_keys_and_those_that_have_no_name(bound: Any) -> None:
    keys = ("label", "class", "name", "category")
    boxes = [{"bbox": [n, 2, 30, 40], key: key.upper()} for n, key in enumerate(keys)]
    table = bound(
        ["a.jpg"], boxes={"file_name": "a.jpg", "annotations": [*boxes, {"bbox": [9, 2, 3, 4], "category_id": 7}]}
    )
    names = {category["id"]: category["name"] for category in table.categories}
    found = [names[prompt.category_id] for prompt in table.for_image("a.jpg").prompts]
    assert found == ["LABEL", "CLASS", "NAME", "CATEGORY", "category 7"]
    assert any("classes whose name is not found: 1 (category 7)" in text for text in table.notes.remarks)
