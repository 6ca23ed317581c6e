"""Data sets of Hugging Face, SageMaker, Vertex AI and Ultralytics, a line per image."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from hqsam_cli.errors import HqsamError
from hqsam_cli.prompts.read import read_prompt_file
from tests.prompts.readers.pixels import SIZE, TRUTH, Photos

WIDTH, HEIGHT = SIZE
LABELS = [label for label, _ in TRUTH]
CORNERS = [list(box) for _, box in TRUTH]
SIZES = [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in CORNERS]
SHARES = [[x0 / WIDTH, y0 / HEIGHT, x1 / WIDTH, y1 / HEIGHT] for x0, y0, x1, y1 in CORNERS]
FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": ["indoors", "outdoors"], "_type": "ClassLabel"},
    "objects": {
        "bbox": {"feature": {"feature": {"dtype": "float32", "_type": "Value"}, "length": 4, "_type": "List"}},
        "category": {"feature": {"names": LABELS, "_type": "ClassLabel"}, "_type": "List"},
    },
}
CARD = """---
license: mit
dataset_info:
  features:
  - name: label
    dtype:
      class_label:
        names:
          '0': indoors
  - name: objects
    struct:
    - name: bbox
      list:
        list: float32
        length: 4
    - name: category
      list:
        class_label:
          names:
            '0': cat
            '1': red bag
---
# Animals and bags
"""


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return Photos(tmp_path)


@pytest.mark.parametrize("key", ["category", "categories", "label"])
def test_metadata_of_hugging_face(photos: Photos, key: str) -> None:
    line = {"file_name": "a.jpg", "objects": {"bbox": SIZES, key: LABELS}}
    empty = {"file_name": "b.jpg", "objects": {"bbox": [], key: []}}
    table = photos.bound([line, empty], "metadata.jsonl")
    assert photos.boxes(table) == TRUTH
    assert table.for_image("b.jpg").mentioned is True and photos.boxes(table, "b.jpg") == []
    assert read_prompt_file(str(photos.folder / "metadata.jsonl"), "box").kind == "Hugging Face"
    corners = {**line, "objects": {"bbox": CORNERS, key: LABELS}}
    assert photos.read([corners], "metadata.jsonl", box_format="xyxy") == TRUTH
    rows = [{"bbox": box, key: label} for box, label in zip(SIZES, LABELS, strict=True)]
    assert photos.read([{**line, "objects": rows}], "metadata.jsonl") == TRUTH


def test_class_names_in_the_card_of_a_data_set(photos: Photos) -> None:
    (photos.folder / "README.md").write_text(CARD)
    (photos.folder / "train").mkdir()
    line = {"file_name": "a.jpg", "objects": {"bbox": SIZES, "category": [0, 1]}}
    assert photos.read([line], "train/metadata.jsonl") == photos.read([line], "metadata.jsonl") == TRUTH


def test_a_line_without_objects_is_no_image_without_objects(photos: Photos) -> None:
    line = {"file_name": "a.jpg", "objects": {"bbox": SIZES, "category": LABELS}}
    table = photos.bound([line, {"file_name": "b.jpg", "caption": "a cat"}], "metadata.jsonl")
    assert table.for_image("b.jpg").mentioned is False
    assert any("records without boxes" in text for text in table.notes.lost)


def test_parquet_of_hugging_face(photos: Photos) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [
        {"image": {"bytes": b"pixels", "path": "a.jpg"}, "objects": {"bbox": SIZES, "category": [0, 1]}},
        {"image": {"bytes": b"pixels", "path": "b.jpg"}, "objects": {"bbox": [], "category": []}},
    ]
    table = pyarrow.Table.from_pylist(rows)
    schema = {"huggingface": json.dumps({"info": {"features": FEATURES}})}
    for own, expected in ((table.replace_schema_metadata(schema), LABELS), (table, ["category 0", "object"])):
        written = io.BytesIO()
        parquet.write_table(own, written)
        bound = photos.bound(written.getvalue(), "train-00000-of-00001.parquet")
        assert photos.boxes(bound) == [(name, box) for name, (_, box) in zip(expected, TRUTH, strict=True)]
        assert bound.for_image("b.jpg").mentioned is True


def test_manifests_of_sagemaker(photos: Photos) -> None:
    boxes = [
        {"class_id": number, "left": x, "top": y, "width": w, "height": h} for number, (x, y, w, h) in enumerate(SIZES)
    ]
    line: dict[str, Any] = {
        "source-ref": "s3://bucket/photos/a.jpg",
        "job": {"image_size": [{"width": WIDTH, "height": HEIGHT, "depth": 3}], "annotations": boxes},
        "job-metadata": {
            "objects": [{"confidence": 0.8}, {"confidence": 0}],
            "class-map": dict(zip("01", LABELS, strict=True)),
            "type": "groundtruth/object-detection",
        },
    }
    empty = {**line, "source-ref": "s3://bucket/photos/b.jpg", "job": {**line["job"], "annotations": []}}
    table = photos.bound([line, empty], "output.manifest")
    assert photos.boxes(table) == TRUTH
    assert [prompt.score for prompt in table.for_image("a.jpg").prompts] == [0.8, None]
    assert table.for_image("b.jpg").mentioned is True
    other = {"source-ref": "s3://bucket/b.jpg", "job-metadata": {"failure-reason": "ClientError"}}
    table = photos.bound([line, other], "output.manifest")
    assert table.for_image("b.jpg").mentioned is False
    assert any("lines without boxes of a labeling job, skipped: 1 (line 2)" in text for text in table.notes.lost)
    with pytest.raises(HqsamError, match="SageMaker without annotations: lines without boxes"):
        photos.bound([other], "output.manifest")


def test_lines_of_vertex_ai(photos: Photos) -> None:
    boxes = [
        {"displayName": label, "xMin": x0, "yMin": y0, "xMax": x1, "yMax": y1}
        for label, (x0, y0, x1, y1) in zip(LABELS, SHARES, strict=True)
    ]
    line = {"imageGcsUri": "gs://bucket/a.jpg", "boundingBoxAnnotations": boxes}
    empty = {"imageGcsUri": "gs://bucket/b.jpg", "boundingBoxAnnotations": []}
    table = photos.bound([line, empty])
    assert photos.boxes(table) == TRUTH
    assert table.for_image("b.jpg").mentioned is True
    edge = {"displayName": "edge", "xMax": 0.5, "yMax": 0.5}  # coordinates of 0 are left out
    assert photos.read([{**line, "boundingBoxAnnotations": [edge]}]) == [("edge", (0, 0, 320, 240))]


def test_ndjson_of_ultralytics(photos: Photos) -> None:
    head = {"type": "dataset", "task": "detect", "class_names": {"0": "cat", "1": "red bag"}, "version": 1}
    centers = [[(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0] for x0, y0, x1, y1 in SHARES]
    corners = [[x0, y0, x1, y0, x1, y1, x0, y1] for x0, y0, x1, y1 in SHARES]
    kinds: dict[str, list[list[float]]] = {
        "boxes": [[n, *box] for n, box in enumerate(centers)],
        "segments": [[n, *polygon] for n, polygon in enumerate(corners)],
        "obb": [[n, *polygon] for n, polygon in enumerate(corners)],
        "pose": [[n, *box, 0.3, 0.3, 0.4, 0.4] for n, box in enumerate(centers)],
    }
    image = {"type": "image", "file": "a.jpg", "width": WIDTH, "height": HEIGHT, "split": "train"}
    for kind, labels in kinds.items():
        empty = {**image, "file": "b.jpg", "annotations": {kind: []}}
        table = photos.bound([head, {**image, "annotations": {kind: labels}}, empty], "data.ndjson")
        assert photos.boxes(table) == TRUTH, kind
        assert table.for_image("b.jpg").mentioned is True
    assert [category["name"] for category in table.categories] == LABELS
    lines = [head, {**image, "annotations": {"boxes": [[0, 1, 2], "x", *kinds["boxes"]]}}]
    table = photos.bound([*lines, {**image, "file": "b.jpg", "annotations": {"classification": [1]}}], "data.ndjson")
    assert photos.boxes(table) == TRUTH
    assert table.for_image("b.jpg").mentioned is False
    assert sorted(text.split(": ")[1] for text in table.notes.lost) == [
        "annotations whose bbox is not four finite numbers, skipped",
        "annotations without bbox, skipped",
        "images without boxes, segments, pose or obb, skipped",
    ]


def test_polygons_of_ultralytics_are_masks(photos: Photos) -> None:
    triangle: list[Any] = [0, 0.25, 0.25, 0.75, 0.25, 0.5, 0.75]
    line = {"type": "image", "file": "a.jpg", "annotations": {"segments": [triangle]}}
    path = photos.folder / "data.ndjson"
    path.write_text(json.dumps({"type": "dataset", "class_names": {}}) + "\n" + json.dumps(line))
    assert read_prompt_file(str(path), "mask").annotations[0].value.xyn == tuple(triangle[1:])
