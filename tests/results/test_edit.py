"""Results joined, chosen from, split and counted."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.results.count import stats
from hqsam_cli.results.edit import Choice, choose, merge, renumber, split
from hqsam_cli.results.stream import Results, open_results
from tests.results.conftest import document


def ids(results: Results) -> list[tuple[Any, Any]]:
    """Of each annotation its id and its image's."""
    return [(annotation["id"], annotation["image_id"]) for annotation in results.annotations()]


def names(results: Results) -> dict[Any, str]:
    """Of images, by id."""
    return {image["id"]: image["file_name"] for image in results.images()}


def saved(path: Path, value: Any) -> Results:
    path.write_text(json.dumps(value))
    return open_results(path)


def test_every_kind_is_the_same_stream(coco: Path, ndjson: Path, tmp_path: Path) -> None:
    made = open_results(coco)
    lines = open_results(ndjson)
    zipped = tmp_path / "coco.json.gz"
    zipped.write_bytes(gzip.compress(coco.read_bytes()))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/instances.json").write_bytes(coco.read_bytes())
    for other in (lines, open_results(zipped), open_results(tmp_path / "run")):
        assert list(other.images()) == list(made.images())
        assert [{k: v for k, v in a.items() if k != "category"} for a in other.annotations()] == list(
            made.annotations()
        )
        assert other.categories == made.categories
    listed = saved(tmp_path / "list.json", document("abcd", first=5)["annotations"])
    assert (lines.kind, made.kind, listed.kind) == ("NDJSON", "COCO instances", "COCO results")
    assert list(listed.annotations()) == list(made.annotations())


def test_the_kind_is_that_of_the_whole_whatever_comes_first(tmp_path: Path) -> None:
    made = document("ab", first=5)
    several: tuple[list[Any], ...] = ([], [[]], [{"image_id": 1}])
    for licenses in several:
        results = saved(tmp_path / "x.json", {"licenses": licenses, **made})
        assert (results.kind, len(list(results.images()))) == ("COCO instances", 2)
    assert saved(tmp_path / "x.json", []).kind == "COCO results"


@pytest.mark.parametrize("zipped", [False, True])
def test_names_that_are_not_utf8_are_read_as_they_were_written(tmp_path: Path, zipped: bool) -> None:
    made = document("abcd", first=5)
    made["images"][2]["file_name"] = "caf\udce9.jpg"
    made["categories"][1]["name"] = "\udcff"
    content = json.dumps(made).encode("ascii")
    (tmp_path / "x.json").write_bytes(gzip.compress(content) if zipped else content)
    results = open_results(tmp_path / "x.json")
    assert list(results.images()) == made["images"]
    assert list(results.annotations()) == made["annotations"]
    assert results.categories == made["categories"]
    # Each image is there once, though what comes before the last name is read twice.
    many = document("a" * 1000, first=1)
    for number, image in enumerate(many["images"]):
        image["file_name"] = f"{number}.jpg"
    many["images"][-1]["file_name"] = "\udce9.jpg"
    assert list(saved(tmp_path / "many.json", many).images()) == many["images"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"a": 1}', "JSON, but not results"),
        (b"[1, 2]", "JSON, but not results"),
        (b'{"images": 1, ', "not JSON"),
        (b"hello", "not JSON"),
        (b'{"images": [{"id": 1, ', "not JSON"),
        (b'{"file_name": "a.jpg"}\n{"id": 1}\n', "line 2 is not an image"),
        (b'{"annotations": [], "file_name": "a.jpg"}\n{"id": 1}\n', "line 2 is not an image"),
    ],
)
def test_what_is_none_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(HqsamError, match=rf"x\.json: .*({reason})"):
        list(open_results(tmp_path / "x.json").images())
    with pytest.raises(HqsamError, match="cannot be read"):
        open_results(tmp_path / "none.json")
    with pytest.raises(HqsamError, match=r"has no instances\.json, instances\.ndjson or"):
        open_results(tmp_path)


@pytest.mark.parametrize("annotations", [{"a": 1}, "x"])
def test_a_line_without_a_list_of_annotations_is_named(tmp_path: Path, annotations: Any) -> None:
    (tmp_path / "x.ndjson").write_text(
        '{"file_name": "a.jpg"}\n' + json.dumps({"file_name": "b.jpg", "annotations": annotations})
    )
    with pytest.raises(HqsamError, match=r"x\.ndjson: line 2 has invalid annotations; fix"):
        open_results(tmp_path / "x.ndjson")


def test_categories_of_any_ids_and_without_names(tmp_path: Path) -> None:
    made = document("ab", first=5)
    del made["categories"][1]["name"]
    assert saved(tmp_path / "x.json", made).categories == [{"id": 1, "name": "cat"}, {"id": 2, "name": "category 2"}]
    own = [{"category_id": number, "category": f"c{number}"} for number in ("b", 2, "a", 1)]
    line = saved(tmp_path / "x.ndjson", {"file_name": "a.jpg", "annotations": own})
    assert [category["id"] for category in line.categories] == [1, 2, "a", "b"]


def test_keys_stand_in_any_order(ndjson: Path, coco: Path, tmp_path: Path) -> None:
    expected = open_results(ndjson)
    records = [json.loads(line) for line in ndjson.read_text().splitlines()]
    (tmp_path / "sorted.ndjson").write_text("".join(json.dumps(r, sort_keys=True) + "\n" for r in records))
    lines = open_results(tmp_path / "sorted.ndjson")
    assert lines.kind == "NDJSON"
    assert (list(lines.images()), list(lines.annotations())) == (
        list(expected.images()),
        list(expected.annotations()),
    )
    (tmp_path / "sorted.json").write_text(json.dumps(json.loads(coco.read_text()), sort_keys=True))
    assert open_results(tmp_path / "sorted.json").kind == "COCO instances"
    assert saved(tmp_path / "bare.json", {"annotations": [{"image_id": 1}]}).kind == "COCO instances"


def test_choices(coco: Path) -> None:
    whole = open_results(coco)
    for choice, kept in (
        (Choice(score_threshold=0.6), [11, 13, 15, 17]),
        (Choice(categories=frozenset({"cat"})), [10, 12, 14, 16]),
        (Choice(min_area=7), [11, 13, 15, 17]),
        (Choice(max_area=7, files=frozenset({"a.jpg", "d.jpg"})), [10, 16]),
    ):
        left = choose(whole, choice)
        assert [number for number, _ in ids(left)] == kept
        assert list(names(left).values()) == (["a.jpg", "d.jpg"] if choice.files else [f"{n}.jpg" for n in "abcd"])
    assert [c["name"] for c in choose(whole, Choice(categories=frozenset({"dog"}))).categories] == ["dog"]
    with pytest.raises(UsageError, match=r"no such category.*cat, dog"):
        choose(whole, Choice(categories=frozenset({"bird"})))


def test_a_split_is_whole_and_moves_nothing_when_images_come(tmp_path: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    few = saved(tmp_path / "few.json", document(letters[:13], first=1))
    many = saved(tmp_path / "many.json", document(letters, first=50))
    shares = {"train": 0.5, "val": 0.25, "test": 0.25}
    first, second = split(few, shares, 0), split(many, shares, 0)
    parts = {name: set(names(part).values()) for name, part in second.items()}
    assert sorted(n for part in parts.values() for n in part) == [f"{n}.jpg" for n in letters]
    assert all(parts.values()) and len(parts["train"]) > len(parts["val"])
    for name, part in first.items():
        assert set(names(part).values()) <= parts[name]
        assert {image for _, image in ids(part)} == set(names(part))
    other = split(many, shares, 1)
    assert set(names(other["train"]).values()) != parts["train"]


def test_a_split_keeps_groups_together(tmp_path: Path) -> None:
    made = document("a" * 90, first=1)
    for number, image in enumerate(made["images"]):
        image["file_name"] = f"clip{number // 3:02d}/frame_{number}.jpg"
    results = saved(tmp_path / "x.json", made)
    shares = {"train": 0.5, "val": 0.5}
    for pattern in (r"^[^/]+/", r"^clip(\d+)", r"clip(\d+)/|(never)"):
        parts = split(results, shares, 0, re.compile(pattern))
        folders = [{name.split("/")[0] for name in names(part).values()} for part in parts.values()]
        assert folders[0] and folders[1] and not folders[0] & folders[1]
        assert sum(len(names(part)) for part in parts.values()) == 90
    # A name that does not match, or in which nothing is matched, is a group of its own.
    alone = [set(names(part).values()) for part in split(results, shares, 0).values()]
    for pattern in (r"frame_7\.", r"x*"):
        parts = split(results, shares, 0, re.compile(pattern))
        assert all(len(set(names(part).values()) - own) <= 1 for part, own in zip(parts.values(), alone, strict=True))
    with pytest.raises(UsageError, match="`group_by` video: matches no image name"):
        split(results, shares, 0, re.compile("video"))


def test_a_list_is_split_by_the_ids_of_its_images(tmp_path: Path) -> None:
    listed = saved(
        tmp_path / "list.json", [{"image_id": n % 20, "score": 0.5, "bbox": [0, 0, 1, 1]} for n in range(60)]
    )
    parts = split(listed, {"train": 0.5, "val": 0.5}, 0)
    images = {name: [own["image_id"] for own in part.annotations()] for name, part in parts.items()}
    assert sorted(images["train"] + images["val"]) == sorted(n % 20 for n in range(60))
    assert images["train"] and images["val"] and not set(images["train"]) & set(images["val"])


def test_joined_by_names_and_ids_stay_where_they_can(tmp_path: Path) -> None:
    first = saved(tmp_path / "1.json", document("ab", first=5))
    apart = saved(tmp_path / "2.json", document("cd", first=70))
    both = merge([first, apart])
    assert names(both) == {5: "a.jpg", 6: "b.jpg", 70: "c.jpg", 71: "d.jpg"}
    assert ids(both) == [*ids(first), *ids(apart)]
    # The same ids for other images, an image of both, and a category of another name with the same id.
    clash = saved(tmp_path / "3.json", document("bx", first=5, category="cow"))
    joined = merge([first, clash])
    assert names(joined) == {5: "a.jpg", 6: "b.jpg", 1: "x.jpg"}
    assert {c["name"]: c["id"] for c in joined.categories} == {"cat": 1, "dog": 2, "cow": 3}
    assert ids(joined) == [(10, 5), (11, 5), (12, 6), (13, 6), (14, 6), (15, 6), (16, 1), (17, 1)]
    assert [a["category_id"] for a in joined.annotations()] == [1, 2, 1, 2, 3, 2, 3, 2]
    assert ids(renumber(joined)) == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 2), (6, 2), (7, 3), (8, 3)]
    listed = saved(tmp_path / "4.json", document("ab", first=5)["annotations"])
    with pytest.raises(UsageError, match="no names to match"):
        merge([first, listed])
    assert len(list(merge([listed, listed]).annotations())) == 8


def test_an_image_on_two_lines_is_one_image(tmp_path: Path) -> None:
    def line(name: str, number: int | None, own: int) -> str:
        record = {"file_name": name, "image_id": number, "width": 20, "height": 10, "annotations": [{"id": own}]}
        return json.dumps(record) + "\n"

    # As of two files, one after the other: an image again, the same id of another, and none, whose number is taken.
    path = tmp_path / "x.ndjson"
    path.write_text(
        line("a.jpg", 7, 1) + line("b.jpg", 5, 2) + line("a.jpg", 7, 3) + line("c.jpg", 5, 4) + line("d.jpg", None, 5)
    )
    whole = open_results(path)
    for results in (whole, merge([whole])):
        assert [*names(results).items()] == [(7, "a.jpg"), (5, "b.jpg"), (1, "c.jpg"), (2, "d.jpg")]
        assert len(list(results.images())) == 4
        assert [image for _, image in ids(results)] == [7, 5, 7, 1, 2]
    assert names(merge([whole, whole])) == names(whole)
    assert len(ids(merge([whole, whole]))) == 10


def test_an_image_that_is_listed_twice_is_one_image(tmp_path: Path) -> None:
    made = document("ab", first=5)
    made["images"].append(made["images"][0])
    joined = merge([saved(tmp_path / "x.json", made)])
    assert [image["file_name"] for image in joined.images()] == ["a.jpg", "b.jpg"]
    assert {image for _, image in ids(joined)} == set(names(joined))


def test_no_two_annotations_have_one_id(tmp_path: Path) -> None:
    def numbered(name: str, *numbers: int) -> Results:
        made = document(name, first=5)
        annotations = [{**made["annotations"][0], "id": number} for number in numbers]
        return saved(tmp_path / f"{name}.json", {**made, "annotations": annotations})

    zero, also, below, high = numbered("a", 0), numbered("b", 0), numbered("c", -3, -3), numbered("d", 9)
    for parts, expected in (
        ([zero, also], [1, 2]),
        ([zero, also, also], [1, 2, 3]),
        ([below, zero], [1, 2, 3]),
        ([zero, below, also], [1, 2, 3, 4]),
        ([high, zero, also, high], [9, 1, 10, 11]),
    ):
        assert [annotation["id"] for annotation in merge(parts).annotations()] == expected


def test_counts(coco: Path) -> None:
    document = json.loads(coco.read_text())
    document["annotations"][0] |= {"area": 0, "segmentation": {"size": [30, 40], "counts": [1200]}}
    (coco.parent / "empty.json").write_text(json.dumps(document))
    assert stats(open_results(coco.parent / "empty.json"))["empty_masks"] == 1
    found = stats(open_results(coco))
    assert found["empty_masks"] == 0
    assert (found["images"], found["with_annotations"], found["annotations"], found["failed"]) == (4, 4, 8, 0)
    assert found["categories"]["dog"] == {"annotations": 4, "area": [50.0] * 3, "score": [0.75] * 3}
