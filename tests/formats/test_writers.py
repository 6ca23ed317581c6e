"""Records, COCO JSON and files that appear whole or not at all, read back by those who will."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from hqsam_cli.formats.coco import RunRecords, json_line, write_coco
from hqsam_cli.formats.ndjson import write_ndjson
from hqsam_cli.io.atomic import atomic_file
from hqsam_cli.records import Category, Failure, ImageRecord, Instance, MaskCrop, Prompt

CATEGORIES: list[Category] = [{"id": 4, "name": "kite"}]


def made(number: int, *, score: float | None = None, predicted_iou: float = 0.9, mask_index: int = 0) -> Instance:
    bits = np.zeros((4, 6), bool)
    bits[1:3, 2:5] = True
    return Instance(
        Prompt(number, 4, (0, 0, 9, 9), score=score), MaskCrop(bits, 3, 2, 20, 10), predicted_iou, mask_index
    )


def records() -> list[ImageRecord]:
    first = ImageRecord("a.jpg", 7, (20, 10), [made(n).to_coco(7) for n in (1, 2)])
    known = ImageRecord("b.jpg", 8, (20, 10), failure=Failure("b.jpg", "the model failed"))
    unknown = ImageRecord("c.jpg", 9, failure=Failure("c.jpg", "the file is empty"))
    return [first, known, unknown]


def test_an_annotation() -> None:
    record = made(5, score=0.5, predicted_iou=0.8123456789).to_coco(7)
    segmentation = record.pop("segmentation")
    assert record == {
        "id": 5,
        "image_id": 7,
        "category_id": 4,
        "area": 6,
        "bbox": [5.0, 3.0, 3.0, 2.0],
        "iscrowd": 0,
        "score": 0.406173,
        "predicted_iou": 0.812346,
        "prompt_box": [0.0, 0.0, 9.0, 9.0],
    }
    assert np.array_equal(coco_mask.decode(segmentation), made(5).mask.full())


@pytest.mark.parametrize(("score", "predicted_iou", "expected"), [(None, 0.7, 0.7), (0.9, 1.2, 1.0), (0.9, -0.1, 0.0)])
def test_scores_stay_between_0_and_1(score: float | None, predicted_iou: float, expected: float) -> None:
    record = made(1, score=score, predicted_iou=predicted_iou).to_coco(7)
    assert (record["score"], record["predicted_iou"]) == (expected, predicted_iou)


def test_masks_of_a_multimask_run_have_ids_of_their_own_and_name_their_prompt() -> None:
    of_two = [made(n, mask_index=k).to_coco(7, multimask=True) for n in (1, 2) for k in range(3)]
    assert [(r["id"], r["prompt_id"], r["mask_index"]) for r in of_two] == [
        (1, 1, 0),
        (2, 1, 1),
        (3, 1, 2),
        (4, 2, 0),
        (5, 2, 1),
        (6, 2, 2),
    ]


def test_pycocotools_reads_the_file_and_its_annotations_as_results(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    write_coco(path, RunRecords(lambda: iter(records()), CATEGORIES))
    coco = COCO(str(path))
    assert coco.dataset["categories"] == CATEGORIES
    assert {n: image["file_name"] for n, image in coco.imgs.items()} == {7: "a.jpg", 8: "b.jpg"}
    results = coco.loadRes(coco.dataset["annotations"])
    assert results.annToMask(results.anns[1]).sum() == 6
    write_coco(tmp_path / "again.json", RunRecords(lambda: iter(records()), CATEGORIES))
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_no_images_at_all_are_a_file_still(tmp_path: Path) -> None:
    write_coco(tmp_path / "none.json", RunRecords(lambda: iter(()), CATEGORIES))
    assert not COCO(str(tmp_path / "none.json")).imgs


def test_lines_are_the_records_whatever_the_name(tmp_path: Path) -> None:
    name = b"caf\xe9\n\xf0\x9f\xaa\x81.jpg".decode("utf-8", "surrogateescape")
    record = ImageRecord(name, 1, (2, 2))
    write_ndjson(tmp_path / "lines", RunRecords(lambda: [record, record], []))
    lines = (tmp_path / "lines").read_bytes().split(b"\n")
    assert lines == [json_line(record.to_dict())[:-1]] * 2 + [b""]
    assert os.fsencode(json.loads(lines[0])["file_name"]) == os.fsencode(name)


def test_a_file_that_fails_half_way_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_text("old")

    def broken() -> Iterator[ImageRecord]:
        yield records()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_coco(path, RunRecords(broken, CATEGORIES))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    with atomic_file(path) as file:
        file.write(b"x")
    assert path.read_bytes() == b"x"


def test_an_error_names_the_file_and_not_its_stand_in(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(OSError, match=r"a\.png"), atomic_file(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []
