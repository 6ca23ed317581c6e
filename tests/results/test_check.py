"""Entries of results that cannot be attributed, and ids that are not unique."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from hqsam_cli.results.count import stats
from hqsam_cli.results.edit import merge, renumber, split
from hqsam_cli.results.stream import Results, open_results
from hqsam_cli.results.write import write_same
from tests.results.conftest import document


def saved(path: Path, value: Any) -> Results:
    path.write_text(json.dumps(value))
    return open_results(path)


def told(results: Results) -> list[str]:
    """The lines about the entries of a file, without its name."""
    return [text.removeprefix(f"{own.file}: ") for own in results.problems for text in own]


def owners(results: Results) -> list[tuple[str, str]]:
    """Of each annotation, the names of its image and of its category."""
    images = {image["id"]: image["file_name"] for image in results.images()}
    categories = {category["id"]: category["name"] for category in results.categories}
    return [(images[own["image_id"]], categories[own["category_id"]]) for own in results.annotations()]


def numbers(results: Results) -> list[int]:
    return [annotation["id"] for annotation in results.annotations()]


ALL = [("a.jpg", "cat"), ("a.jpg", "dog"), ("b.jpg", "cat"), ("b.jpg", "dog")]


def test_nothing_is_said_of_a_file_without_problems(coco: Path, ndjson: Path) -> None:
    for path in (coco, ndjson):
        assert told(open_results(path)) == []


@pytest.mark.parametrize(
    ("listed", "entry", "said", "left"),
    [
        (
            "annotations",
            {"image_id": 7},
            "images that are not listed, left out: 1 (annotation 11, image_id 7,",
            3,
        ),
        ("annotations", {"image_id": None}, "without image_id, left out: 1 (entry 2)", 3),
        (
            "annotations",
            {"category_id": 9},
            "categories that are not listed, left out: 1 (annotation 11, image_id 5,",
            3,
        ),
        (
            "annotations",
            {"category_id": [1]},
            "with an invalid category_id, left out: 1 (annotation 11, image_id 5,",
            3,
        ),
        ("annotations", "x", "without image_id, left out: 1 (entry 2)", 3),
        ("images", {"id": None}, "without an id or a file_name, left out: 1 (entry 2)", 2),
        ("images", {"id": [1]}, "without an id or a file_name, left out: 1 (entry 2)", 2),
        ("images", {"file_name": None}, "without an id or a file_name, left out: 1 (entry 2)", 2),
        ("images", {"id": 5}, "image ids of several images, left out: 1 (5 is a.jpg and b.jpg)", 0),
        ("categories", {"id": None}, "without an id, left out: 1 (entry 2)", 2),
        ("categories", {"id": 1}, "category ids of several categories, left out: 1 (1 is cat and dog)", 0),
    ],
)
def test_entries_that_belong_nowhere_are_named_and_left_out(
    tmp_path: Path, listed: str, entry: Any, said: str, left: int
) -> None:
    made = document("ab", first=5)
    made[listed][1] = {**made[listed][1], **entry} if isinstance(entry, dict) else entry
    results = saved(tmp_path / "x.json", made)
    assert any(said in text for text in told(results)), told(results)
    # In another file, the ids that are not listed are those of an image and of a category.
    other = document("cde", first=6)
    other["categories"].append({"id": 9, "name": "bird"})
    joined = merge([results, saved(tmp_path / "y.json", other)])
    parts = split(results, {"train": 0.5, "val": 0.5}, 0).values()
    for own in (results, renumber(results), joined):
        kept = [pair for pair in owners(own) if pair[0] in ("a.jpg", "b.jpg")]
        assert len(kept) == left and set(kept) <= set(ALL)
    assert sum(len(owners(part)) for part in parts) == stats(results)["annotations"] == left
    assert told(joined)[: len(told(results))] == told(results)


def test_ids_are_the_same_as_numbers_and_as_text(tmp_path: Path) -> None:
    made = document("ab", first=5)
    for annotation in made["annotations"]:
        annotation |= {"image_id": str(annotation["image_id"]), "category_id": float(annotation["category_id"])}
    results = saved(tmp_path / "x.json", made)
    assert (owners(results), told(results)) == (ALL, [])


def test_lists_are_checked_for_what_they_have(tmp_path: Path) -> None:
    entries = [{"image_id": 5, "bbox": [0, 0, 1, 1], "score": 1.0}, {"bbox": [0, 0, 1, 1]}, 3]
    results = saved(tmp_path / "x.json", entries)
    assert list(results.annotations()) == entries[:1]
    assert told(results) == ["annotations without image_id, left out: 2 (entry 2, entry 3)"]


@pytest.mark.parametrize("restart", [1, 0])
def test_ids_that_restart_with_each_image_become_unique(tmp_path: Path, restart: int) -> None:
    made = document("abc", first=1)
    for place, annotation in enumerate(made["annotations"]):
        annotation["id"] = restart + place % 2
        x = 3 * (annotation["image_id"] - 1)
        annotation["segmentation"] = [[x, 0, x + 3, 0, x + 3, 9, x, 9]]
    results = saved(tmp_path / "x.json", made)
    assert numbers(results) == ([1, 2, 3, 4, 5, 6] if restart else [2, 1, 3, 4, 5, 6])
    assert any("annotation ids that" in text for text in told(results))
    for name, own in (("1.json", results), ("2.json", merge([results])), ("3.json", renumber(results))):
        write_same(tmp_path / name, own, {})
        coco = COCO(str(tmp_path / name))
        for image in coco.imgs.values():
            for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]])):
                found = np.flatnonzero(coco.annToMask(annotation).any(axis=0))
                assert found[0] == 3 * (image["id"] - 1)


def test_only_ids_that_repeat_are_replaced(tmp_path: Path) -> None:
    made = document("abc", first=1)
    for annotation, number in zip(made["annotations"], [40, 7, 40, "x", 3, None], strict=True):
        annotation["id"] = number
    results = saved(tmp_path / "x.json", made)
    assert numbers(results) == [40, 7, 41, 42, 3, 43]
    assert told(results) == [
        'annotation ids that are not positive integers, replaced: 1 (id "x")',
        "annotation ids that repeat, replaced: 1 (id 40)",
    ]


def test_an_image_of_two_sizes_does_not_get_the_boxes_of_both(tmp_path: Path) -> None:
    made = document("ab", first=5)
    made["images"][1] |= {"file_name": "a.jpg", "width": 40}
    results = saved(tmp_path / "x.json", made)
    text = "left out: 1 (a.jpg is 40 x 10 pixels, before 20 x 10)"
    assert owners(results) == ALL[:2]
    assert told(results)[0].endswith(f"earlier one of that name, {text}")
    first, second = document("ab", first=5), document("ca", first=5)
    second["images"][1]["width"] = 40
    joined = merge([saved(tmp_path / "1.json", first), saved(tmp_path / "2.json", second)])
    assert owners(joined) == [*ALL, ("c.jpg", "cat"), ("c.jpg", "dog")]
    assert told(joined) == [f"images of another size than in an earlier file, {text}"]
    lines = [{**image, "annotations": [{"category_id": 1, "bbox": [0, 0, 1, 1]}]} for image in made["images"]]
    (tmp_path / "x.ndjson").write_text("".join(json.dumps({"id": None, **line}) + "\n" for line in lines))
    lined = open_results(tmp_path / "x.ndjson")
    assert len(owners(lined)) == 1 and text in told(lined)[0]


def test_an_image_with_two_ids_is_one_image(tmp_path: Path) -> None:
    made = document("ab", first=5)
    del made["images"][0]["width"]
    made["images"][1]["file_name"] = "a.jpg"
    results = saved(tmp_path / "x.json", made)
    assert list(results.images()) == [{"id": 5, "file_name": "a.jpg", "height": 10, "width": 20}]
    assert [own["image_id"] for own in results.annotations()] == [5, 5, 5, 5]
    assert told(results) == ["images listed again with another id, joined: 1 (a.jpg)"]


def test_categories_without_a_list_keep_their_own_names(tmp_path: Path) -> None:
    bare = document("c", first=5)
    del bare["categories"]
    listed = saved(tmp_path / "1.json", document("ab", first=5))
    joined = merge([listed, saved(tmp_path / "2.json", bare)])
    assert owners(joined)[4:] == [("c.jpg", "category 1"), ("c.jpg", "category 2")]
    # Lines of two files, in which an id is of another category.
    own = [{"category_id": 1, "category": name, "bbox": [0, 0, 1, 1]} for name in ("cat", "dog", "cat")]
    (tmp_path / "x.ndjson").write_text(json.dumps({"file_name": "a.jpg", "annotations": own}) + "\n")
    lines = open_results(tmp_path / "x.ndjson")
    assert owners(lines) == [("a.jpg", "cat"), ("a.jpg", "dog"), ("a.jpg", "cat")]
    assert told(lines) == ["category ids with several names, replaced: 1 (1 is cat and dog)"]


def test_masks_stay_with_their_photos_in_pycocotools(tmp_path: Path) -> None:
    """As in reports: two files of the same ids, and a bird of an image that the first does not list."""
    first, second = document("ab", first=1), document("cd", first=1)
    first["annotations"].append({**first["annotations"][0], "id": 99, "image_id": 3})
    bits = np.zeros((10, 20), np.uint8, order="F")
    bits[:2] = 1
    rle = coco_mask.encode(bits)
    for annotation in second["annotations"]:
        annotation["segmentation"] = {"size": rle["size"], "counts": rle["counts"].decode()}
    joined = merge([saved(tmp_path / "1.json", first), saved(tmp_path / "2.json", second)])
    write_same(tmp_path / "all.json", joined, {})
    coco = COCO(str(tmp_path / "all.json"))
    for image in coco.imgs.values():
        own = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
        assert len(own) == 2
        assert all(isinstance(a["segmentation"], dict) == (image["file_name"] in ("c.jpg", "d.jpg")) for a in own)
