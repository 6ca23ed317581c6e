"""The output folder of a run, finished or not, as results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hqsam_cli.results.count import stats
from hqsam_cli.results.edit import merge, split
from hqsam_cli.results.stream import open_results
from hqsam_cli.results.write import write_as, write_same
from tests.results.conftest import document

BEGAN = {
    "began": {"images": 4, "categories": document("a", first=1)["categories"], "began": "2026-01-01T00:00:00+00:00"}
}
ORIGIN = {"fingerprint": "", "path": "", "lost": 0}
FINISHED = {"outcome": "finished"}
FAILED = {**ORIGIN, "file_name": "torn.jpg", "image_id": 9, "width": None, "height": None, "annotations": []}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """`out`: an old `instances.json` of image a, and the journal of a run that has done a and b; one image failed."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "instances.json").write_text(json.dumps(document("a", first=5)))
    journal_of(out)
    return out


def journal_of(out: Path, *ending: dict[str, Any]) -> None:
    made = document("ab", first=5)
    lines: list[dict[str, Any]] = [{"identity": {"version": "0"}, "info": {"command": "hqsam segment"}}, BEGAN]
    for image in made["images"]:
        own = [a for a in made["annotations"] if a["image_id"] == image["id"]]
        size = {"width": image["width"], "height": image["height"]}
        own = [{**a, "polygons": {"parts": [], "ious": {}, "dropped": 0}} for a in own]
        named = {"file_name": image["file_name"], "image_id": image["id"]}
        lines.append({**ORIGIN, **named, **size, "annotations": own, "error": None})
    lines += [{**FAILED, "error": "torn.jpg: broken image", "failure": ["torn.jpg", "broken image", "", ""]}, *ending]
    (out / "journal.ndjson").write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def test_what_a_run_has_done_when_it_did_not_finish(run: Path, tmp_path: Path) -> None:
    results = open_results(run)
    made = document("ab", first=5)
    assert list(results.annotations()) == made["annotations"] and results.categories == made["categories"]
    assert list(results.images()) == [
        *made["images"],
        {"id": 9, "file_name": "torn.jpg", "error": "torn.jpg: broken image"},
    ]
    counted = stats(results)
    assert (counted["kind"], counted["images"], counted["failed"], counted["annotations"]) == ("journal", 3, 1, 4)
    assert write_same(tmp_path / "x.json", merge([results, results]), {}) == (3, 8)
    assert sum(len(list(part.annotations())) for part in split(results, {"a": 0.5, "b": 0.5}, 0).values()) == 4
    path, _ = write_as("yolo", tmp_path / "labels", results, {})
    assert {own.name for own in path.glob("?.txt")} == {"a.txt", "b.txt"}


def test_an_unfinished_run_is_told(run: Path, tmp_path: Path) -> None:
    text = f"{run / 'journal.ndjson'}: the run has not finished: 2 of 4 images are done"
    assert open_results(run).unfinished == text
    journal_of(run, {"outcome": "interrupted"})
    assert open_results(run).unfinished == text
    journal_of(run, FINISHED)
    assert open_results(run).unfinished == ""
    (run / "instances.json").unlink()
    assert open_results(run).unfinished == ""
    # The file of hqsam detect, with its journal beside it, and the folder of that file.
    journal_of(run)
    out = tmp_path / "hqsam_detect"
    out.mkdir()
    (run / "journal.ndjson").rename(out / "dets.json.journal.ndjson")
    for place in (out, out / "dets.json"):
        results = open_results(place)
        assert len(list(results.annotations())) == 4 and "2 of 4" in results.unfinished
    with open(out / "dets.json.journal.ndjson", "a") as file:
        file.write(json.dumps(FINISHED, separators=(",", ":")) + "\n")
    (out / "dets.json").write_text(json.dumps(document("a", first=5)))
    for place in (out, out / "dets.json"):
        assert len(list(open_results(place).annotations())) == 2


def test_the_file_of_a_run_that_finished_counts(run: Path) -> None:
    journal_of(run, FINISHED)
    assert [image["file_name"] for image in open_results(run).images()] == ["a.jpg"]
    journal_of(run, FINISHED, BEGAN)
    assert open_results(run).kind == "journal"
    journal_of(run, {"outcome": "interrupted"})
    assert open_results(run).kind == "journal"
    journal_of(run, FINISHED)
    (run / "instances.json").unlink()  # of a run of other formats
    assert open_results(run).kind == "journal"


def test_python_writes_numbers_that_json_does_not_have(tmp_path: Path) -> None:
    made = document("ab", first=5)
    made["annotations"][2]["score"] = made["annotations"][3]["area"] = float("nan")
    (tmp_path / "x.json").write_text("\ufeff" + json.dumps(made), "utf-8")
    read = list(open_results(tmp_path / "x.json").annotations())
    assert [own.get(key) for own, key in zip(read[2:], ("score", "area"), strict=True)] == [None, None]
    assert [own["id"] for own in read] == [own["id"] for own in made["annotations"]]
