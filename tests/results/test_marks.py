"""Annotations chosen by marks and suspicion of a report."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from hqsam_cli.errors import UsageError
from hqsam_cli.results.edit import Choice, choose
from hqsam_cli.results.marks import marked_ids, suspicious_ids
from hqsam_cli.results.stream import open_results

CSV = 'file_name,path,image_id,annotation_id,category\r\n"a,b.jpg",,1,5,cat\r\nc.jpg,,2,,\r\nb.jpg,,2,7,dog\r\n'


def test_each_export_of_marks_has_their_ids(coco: Path, tmp_path: Path) -> None:
    for name, content in {"m.csv": CSV, "m.txt": "5\n7\n", "m.json": json.dumps([])}.items():
        (tmp_path / name).write_text(content, newline="")
    assert marked_ids(tmp_path / "m.csv") == marked_ids(tmp_path / "m.txt") == {5, 7}
    ids = [own["id"] for own in json.loads(coco.read_text())["annotations"]]
    assert marked_ids(coco) == set(ids)
    (tmp_path / "m.json.gz").write_bytes(gzip.compress(coco.read_bytes()))
    line = {"file_name": "a.jpg", "annotations": [{"id": 5, "bbox": [0, 0, 4, 4]}]}
    (tmp_path / "m.jsonl").write_text(json.dumps(line))
    assert marked_ids(tmp_path / "m.json.gz") == set(ids)
    assert marked_ids(tmp_path / "m.jsonl") == {5}
    (tmp_path / "column.csv").write_text("area,annotation_id\r\n9,5\r\n", newline="")
    assert marked_ids(tmp_path / "column.csv") == {5}
    (tmp_path / "list.json").write_text(json.dumps([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 4]}]))
    (tmp_path / "files.txt").write_text("/imgs/a.jpg\n")
    for name, reason in (
        ("files.txt", "not an annotation id: /imgs/a.jpg"),
        ("m.json", "no annotation ids"),
        ("list.json", "no annotation ids"),
    ):
        with pytest.raises(UsageError, match=reason):
            marked_ids(tmp_path / name)
    with pytest.raises(UsageError, match="cannot be read"):
        marked_ids(tmp_path / "none.txt")


def test_marked_masks_are_dropped_or_the_only_ones(coco: Path) -> None:
    results = open_results(coco)
    first, *others = [own["id"] for own in results.annotations()]
    dropped = choose(results, Choice(dropped=frozenset({first, 10**9})))
    assert [own["id"] for own in dropped.annotations()] == others
    assert len(list(dropped.images())) == len(list(results.images()))
    assert [own["id"] for own in choose(results, Choice(ids=frozenset({first}))).annotations()] == [first]
    with pytest.raises(UsageError, match="none of the annotation ids"):
        choose(results, Choice(dropped=frozenset({10**9})))


def test_suspicion_is_that_of_the_report(coco: Path, tmp_path: Path) -> None:
    results = open_results(coco)
    with pytest.raises(UsageError, match="run hqsam report"):
        suspicious_ids(results, tmp_path, 0.5)
    ids = [own["id"] for own in results.annotations()]
    (tmp_path / "report").mkdir()
    lines = ["annotation_id,suspicion", *(f"{own},{place / 10}" for place, own in enumerate(ids, 1))]
    (tmp_path / "report/instances.csv").write_text("\n".join(lines))
    for given in (tmp_path, tmp_path / "instances.json"):
        assert suspicious_ids(results, given, 0.1) == set(ids[1:])
    with pytest.raises(UsageError, match="are local"):
        suspicious_ids(results, "s3://bucket/out", 0.1)
    (tmp_path / "report/instances.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(UsageError, match="lacks 1 masks"):
        suspicious_ids(results, tmp_path, 0.1)
