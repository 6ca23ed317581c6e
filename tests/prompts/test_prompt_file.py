"""Prompt files of every kind, and what is said of those that are none."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

from hqsam_cli.errors import HqsamError
from hqsam_cli.prompts.prompt_file import Notes, PromptFile, Use
from hqsam_cli.prompts.read import read_prompt_file

USES: tuple[Use, ...] = ("box", "points", "mask")


def coco(*annotations: Any, images: Any = ({"id": 1, "file_name": "a.jpg"},), **more: Any) -> dict[str, Any]:
    return {"images": list(images), "annotations": list(annotations), **more}


def box(*bbox: Any, **more: Any) -> dict[str, Any]:
    return {"id": 7, "image_id": 1, "bbox": list(bbox), **more}


def read(document: Any, use: Use = "box") -> PromptFile:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_prompt_file("-", use, stdin=io.BytesIO(text))


def test_boxes_become_corners_with_what_belongs_to_them() -> None:
    file = read(coco(box(-5, 2.5, 30, 40, score=0.5, category_id=3), categories=[{"id": 3, "name": "cat"}]))
    (annotation,) = file.annotations
    assert annotation.value == (-5, 2.5, 25, 42.5)
    assert (annotation.annotation_id, annotation.category, annotation.score) == (7, 3, 0.5)
    assert file.categories == [{"id": 3, "name": "cat"}]
    assert file.notes == Notes()


def test_the_same_boxes_in_every_format() -> None:
    lines = [
        {"file_name": "a.jpg", "image_id": None, "annotations": [box(1, 2, 3, 4)], "error": None},
        {"file_name": "b.jpg", "width": 9, "height": 8, "annotations": None},
    ]
    ndjson = "\n\n".join(map(json.dumps, lines)).encode()
    for content in (coco(box(1, 2, 3, 4)), [box(1, 2, 3, 4)], lines[0], ndjson, b"\xef\xbb\xbf" + ndjson):
        file = read(content)
        assert [a.value for a in file.annotations] == [(1, 2, 4, 6)], content
        assert file.notes == Notes()
    assert [(i.name, i.size) for i in read(ndjson).images.values()] == [("a.jpg", None), ("b.jpg", (9, 8))]


def test_lines_that_share_an_image_id_keep_their_boxes_apart() -> None:
    lines = [{"file_name": f"{n}.jpg", "image_id": 0, "annotations": [box(n, 0, 1, 1)]} for n in range(2)]
    file = read("\n".join(map(json.dumps, lines)).encode())
    assert [(file.images[a.key].name, a.value[0]) for a in file.annotations] == [("0.jpg", 0), ("1.jpg", 1)]


@pytest.mark.parametrize(
    "bbox",
    [
        [1, 2, float("nan"), 4],
        [float("inf"), 2, 3, 4],
        [1, 2, 0, 4],
        [1, 2, 3, -4],
        [1, 2, 3],
        [1, 2, 3, 4, 5],
        ["1_0", 2, 3, 4],
        [1, True, 3, 4],
        [1, None, 3, 4],
        [[1], 2, 3, 4],
        [10**400, 2, 3, 4],
        {"x": 1},
        "1 2 3 4",
        5,
    ],
)
def test_a_bad_box_is_named_and_harms_no_other(bbox: Any) -> None:
    file = read(coco({"id": 7, "image_id": 1, "bbox": bbox}, box(1, 2, 3, 4, id=8)))
    assert [a.annotation_id for a in file.annotations] == [8]
    (problem,) = file.notes.lost
    assert problem.startswith("stdin: annotations whose bbox ") and "(annotation 7 of a.jpg, " in problem
    assert "\n" not in problem


def test_unknown_images_crowds_and_missing_boxes_are_counted_and_named() -> None:
    unknown = [box(1, 2, 3, 4, image_id=n) for n in (5, 5, 6, 7, 8)]
    file = read(coco(*unknown, box(1, 2, 3, 4, iscrowd=1), {"id": 9, "image_id": 1}, 17, box(1, 2, 3, 4)))
    assert len(file.annotations) == 1
    assert file.notes.lost == [
        "stdin: annotations of unlisted images, skipped: 5 (image id 5, image id 6, image id 7, …)",
        "stdin: annotations without bbox, skipped: 1 (annotation 9 of a.jpg)",
        "stdin: annotations without image_id, skipped: 1 (entry 8)",
    ]
    said = "crowd regions, skipped; pass `crowds` keep if they are single objects: 1 (annotation 7 of a.jpg)"
    assert file.notes.remarks == [f"stdin: {said}"]


def test_images_that_cannot_be_told_apart_are_named() -> None:
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}, {"file_name": "c.jpg"}, {"id": 4}, None]
    file = read(coco(images=images))
    assert [image.name for image in file.images.values()] == ["a.jpg"]
    assert file.notes.lost == [
        "stdin: images with the id of an earlier one, skipped: 1 (image entry 2)",
        "stdin: images without an id or a file_name, skipped: 3 (image entry 3, image entry 4, image entry 5)",
    ]


def test_points_are_read_for_points_alone() -> None:
    points = [[1, 2, 1], [3.5, 4, 0]]
    document = coco(box(0, 0, 0, 0, points=points), box(1, 2, 3, 4, points=[[1, 2, 7]], id=8), box(1, 2, 3, 4, id=9))
    file = read(document, "points")
    (annotation,) = file.annotations
    assert annotation.value.tolist() == points
    assert (
        "points is not a list of [x, y, 1 or 0], skipped: 1 (annotation 8 of a.jpg, [[1, 2, 7]])" in file.notes.lost[0]
    )
    assert "annotations without points, skipped: 1 (annotation 9" in file.notes.lost[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"x,y\n1,2\n", 'text, with the first line "x,y"'),
        (b'{"images": [', "broken JSON"),
        (b'{"file_name": "a.jpg"}\nnot json', "line 2 is not JSON"),
        (b"\x80\x00\x00", "binary data"),
        (b"7", "JSON, 7, no format of prompts that is known"),
        (b'{"a": 1}', "JSON, an object with the keys a, no format of prompts"),
        (b'[{"bbox": [1, 2, 3, 4]}]', "JSON, a list, first an object with the keys bbox, no format"),
        (b'{"images": [], "annotations": {}}', "annotations are not a list"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_other_files_end_in_a_line_that_says_what_to_give(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "prompts.json"
    path.write_bytes(content)
    with pytest.raises(HqsamError, match=reason) as caught:
        read_prompt_file(str(path), "box")
    assert str(caught.value).startswith(str(path)) and "pass" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HqsamError, match=r"gone\.json: cannot be read"):
        read_prompt_file(str(tmp_path / "gone.json"), "box")


def test_garbage_anywhere_is_survived() -> None:
    """Values of every kind in every place of sound documents: sentences or an HqsamError, nothing else."""
    garbage: list[Any] = [
        None,
        True,
        -1,
        0.5,
        10**30,
        10**400,
        float("nan"),
        "",
        "..",
        "7",
        [],
        [[]],
        {},
        {"id": [1]},
        "[" * 9,
    ]
    deep: Any = [1]
    for _ in range(400):
        deep = [deep]
    garbage.append(deep)
    chance = random.Random(0)

    def damaged(value: Any) -> Any:
        if chance.random() < 0.08:
            return chance.choice(garbage)
        if isinstance(value, dict):
            return {key: damaged(item) for key, item in value.items() if chance.random() > 0.03}
        return [damaged(item) for item in value] if isinstance(value, list) else value

    whole = box(1, 2, 3, 4, score=0.5, category_id=1, points=[[1, 2, 1]], segmentation=[[1, 1, 5, 1, 5, 5]], iscrowd=0)
    instances = coco(whole, whole, categories=[{"id": 1, "name": "x"}])
    line = {"file_name": "a.jpg", "image_id": 1, "width": 5, "height": 5, "annotations": [whole, whole]}
    survived = 0
    for _ in range(700):
        for document in (instances, [whole, whole], line):
            for use in USES:
                try:
                    file = read(damaged(document), use)
                except HqsamError as error:
                    assert "\n" not in str(error)
                else:
                    survived += len(file.annotations)
                    assert not any("\n" in text for text in file.notes.lost + file.notes.remarks)
    assert survived > 1000


def test_ids_mean_nothing_but_themselves() -> None:
    images = [{"id": 2.0, "file_name": "a.jpg"}, {"id": "x", "file_name": "b.jpg"}, {"id": "5", "file_name": "c.jpg"}]
    kinds = [{"id": 3.0, "name": "cat"}, {"id": "7", "name": "dog"}, {"id": "c", "name": "cow"}]
    boxes = [box(1, 2, 3, 4, category_id=kind) | {"image_id": n} for kind, n in (("3", 2), (7, "x"), ("c", 5))]
    file = read(coco(*boxes, images=images, categories=kinds))
    assert [(a.key, a.category) for a in file.annotations] == [(2, 3), ("x", 7), (5, "c")]
    assert [(image.key, image.image_id) for image in file.images.values()] == [(2, 2), ("x", None), (5, 5)]
    assert file.notes.lost == []
    assert file.notes.remarks == ["stdin: image ids that are not integers, replaced: 1 (b.jpg)"]


def test_values_as_exporters_write_them() -> None:
    triangle = [[1, 1, 5, 1, 5, 5], [2, 2]]
    boxes = [
        box("1", "2.0", 3, " 4 "),
        {"id": 8, "image_id": "1", "bbox": None, "segmentation": triangle},
        {"id": 9, "image_id": 1, "bbox": [0, 0, 0, 0], "segmentation": [["1", "1", "5", "1", "5", "5"]]},
        {"id": 10, "image_id": 1, "segmentation": {"size": [4, 4], "counts": [5, 2, 9]}},
        box(1, 2, 3, 4, id=11, iscrowd="1.0"),
    ]
    file = read(coco(*boxes))
    assert [a.value for a in file.annotations] == [(1, 2, 4, 6), (1, 1, 5, 5), (1, 1, 5, 5), (1, 1, 2, 3)]
    said = "crowd regions, skipped; pass `crowds` keep if they are single objects: 1 (annotation 11 of a.jpg)"
    assert file.notes == Notes([], [f"stdin: {said}"])
    packed = gzip.compress(json.dumps(coco(*boxes)).encode())
    assert [a.value for a in read(packed).annotations] == [a.value for a in file.annotations]
    with pytest.raises(HqsamError, match="gzip that is truncated"):
        read(packed[:-9])


def test_a_gzip_of_several_parts_is_read_whole() -> None:
    lines = [json.dumps({"file_name": f"{n}.jpg", "annotations": [box(1, 2, 3, 4)]}) + "\n" for n in range(2)]
    assert len(read(b"".join(gzip.compress(line.encode()) for line in lines)).annotations) == 2


def test_a_few_odd_boxes_do_not_hide_that_the_others_are_no_pixels() -> None:
    shares = [box(0.25, 0.25, 0.5, 0.5, id=n) for n in range(30)] + [box(0.5, 0.5, 1.0004, 0.2), box(10, 10, 50, 50)]
    with pytest.raises(HqsamError, match="between 0 and 1"):
        read(coco(*shares))
    sized = [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}]
    corners = [box(60, 40, 90, 70, id=n) for n in range(9)] + [box(0, 0, 0, 0), box(0, 0, 300, 300, iscrowd=1)]
    with pytest.raises(HqsamError, match="`box_format` xyxy"):
        read(coco(*corners, images=sized))


def test_boxes_that_cannot_be_pixels_are_refused_and_read_as_said() -> None:
    shares = coco(box(0.25, 0.25, 0.5, 0.5))
    with pytest.raises(HqsamError, match=r"between 0 and 1.*`box_format` cxcywhn"):
        read(shares)
    content = json.dumps(shares).encode()
    for form, value in (("cxcywhn", (0, 0, 0.5, 0.5)), ("xyxyn", (0.25, 0.25, 0.5, 0.5))):
        file = read_prompt_file("-", "box", stdin=io.BytesIO(content), box_format=form)  # type: ignore[arg-type]
        assert (file.annotations[0].field, file.annotations[0].value) == ("xyxyn", value)
    sized = [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}]
    corners = coco(box(60, 40, 90, 70), box(10, 10, 50, 79, id=8), box(50, 10, 99, 60, id=9), images=sized)
    with pytest.raises(HqsamError, match=r"3 of 3 boxes exceed.*`box_format` xyxy"):
        read(corners)
    content = json.dumps(corners).encode()
    file = read_prompt_file("-", "box", stdin=io.BytesIO(content), box_format="xyxy")
    assert file.annotations[0].value == (60, 40, 90, 70)
    assert len(read_prompt_file("-", "box", stdin=io.BytesIO(content), box_format="xywh").annotations) == 3


@pytest.mark.parametrize("size", [(200, 150), None])
def test_a_stated_format_that_segmentations_contradict_is_refused_whole(size: tuple[int, int] | None) -> None:
    image = {"id": 1, "file_name": "a.jpg", **({} if size is None else {"width": size[0], "height": size[1]})}
    outlines = [(10, 20, 60, 90), (100, 20, 130, 40), (5, 100, 80, 140)]  # as corners, two boxes have no area
    annotations = [
        {"id": n, "image_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]]}
        for n, (x0, y0, x1, y1) in enumerate(outlines, 1)
    ]
    content = json.dumps({"images": [image], "annotations": annotations}).encode()
    with pytest.raises(HqsamError, match=r"[23] of 3 boxes are not around .* as xyxy; pass `box_format` xywh"):
        read_prompt_file("-", "box", stdin=io.BytesIO(content), box_format="xyxy")
    file = read_prompt_file("-", "box", stdin=io.BytesIO(content), box_format="xywh")
    assert [own.value for own in file.annotations] == outlines


def test_lines_name_the_classes_of_their_boxes() -> None:
    boxes = [box(1, 2, 3, 4, category_id=n, category=name) for n, name in ((7, "dog"), (1, "person"), (7, "dog"))]
    file = read({"file_name": "a.jpg", "annotations": boxes})
    assert [(a.category, a.category_name) for a in file.annotations] == [(7, "dog"), (1, "person"), (7, "dog")]


def test_what_json_does_not_know_is_null() -> None:
    """Python writes NaN, and of a category all is passed on to the output."""
    file = read(coco(box(1, 2, 3, 4), categories=[{"id": 3, "name": "cat", "area": float("nan")}]))
    assert file.categories == [{"id": 3, "name": "cat", "area": None}]


def test_coordinates_from_0_to_1000_are_read_as_said_and_recognized() -> None:
    sized = [{"id": 1, "file_name": "a.jpg", "width": 600, "height": 400}]
    document = coco(box(100, 200, 900, 700), box(500, 100, 1000, 1000, id=8), images=sized)
    with pytest.raises(HqsamError, match=r"normalized to 0 to 1000.*xyxy1000, yxyx1000 if y comes first"):
        read(document)
    content = json.dumps(document).encode()
    for form, value in (("xyxy1000", (0.1, 0.2, 0.9, 0.7)), ("yxyx1000", (0.2, 0.1, 0.7, 0.9))):
        file = read_prompt_file("-", "box", stdin=io.BytesIO(content), box_format=form)  # type: ignore[arg-type]
        assert (file.annotations[0].field, file.annotations[0].value) == ("xyxyn", value)
    table = b"file,x0,y0,x1,y1,width,height\na.jpg,100,200,900,700,600,400\n"
    with pytest.raises(HqsamError, match="xyxy1000"):
        read_prompt_file("-", "box", stdin=io.BytesIO(table))


def test_a_list_of_lines_is_read_like_the_lines() -> None:
    lines = [{"file_name": f"{n}.jpg", "annotations": [{"bbox": [1, 2, 3, 4], "label": "cat"}]} for n in "ab"]
    read_all = [read_prompt_file("-", "box", stdin=io.BytesIO(text.encode())) for text in (
        json.dumps(lines), "\n".join(map(json.dumps, lines)),
    )]  # fmt: skip
    assert read_all[0].kind == read_all[1].kind == "NDJSON"
    assert read_all[0].annotations == read_all[1].annotations and len(read_all[0].annotations) == 2


def test_an_empty_list_beside_other_objects_does_not_say_that_there_are_none() -> None:
    line = {"file_name": "a.jpg", "annotations": [], "detections": [{"bbox": [1, 2, 3, 4]}]}
    good = {"file_name": "b.jpg", "annotations": [{"bbox": [1, 2, 3, 4]}]}
    file = read_prompt_file("-", "box", stdin=io.BytesIO("\n".join(map(json.dumps, [line, good])).encode()))
    assert "lines without annotations, but with detections, skipped: 1 (line 1)" in file.notes.lost[0]
    assert [image.name for image in file.images.values()] == ["b.jpg"]  # nothing is known of the other
