"""The examples of CONTRIBUTING.md, put in as it says."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch import nn

from hqsam_cli import formats
from hqsam_cli.configs import formats as format_names
from hqsam_cli.data import sets
from hqsam_cli.evaluation import metrics
from hqsam_cli.formats import label_writer
from hqsam_cli.prompts import prompt_file, readers
from hqsam_cli.weights import registry
from tests.cli.conftest import Run

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text("utf-8")
EXAMPLE = {
    title: code for title, code in re.findall(r"^### (.*?)$.*?^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
}


def added(title: str, *modules: Any) -> dict[str, Any]:
    """The registry that an example adds to, by its name in the example, and what it defines.

    Args:
        modules: what its files would import from.
    """
    code = EXAMPLE[title].replace("    ...,\n", "").replace("        ...,\n", "").replace("{..., ", "{")
    names: dict[str, Any] = {"Any": Any, "Path": Path, "np": np, "nn": nn}
    for module in modules:
        names |= vars(module)
    code = code.replace("from ..modeling.encoder_swift import SwiftImageEncoder", "SwiftImageEncoder = nn.Identity")
    exec(code, names)
    return names


@pytest.fixture
def put_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Adds entries to a registry for the time of a test."""

    def put(table: dict[str, Any], entries: dict[str, Any]) -> None:
        for name, entry in entries.items():
            assert name not in table
            monkeypatch.setitem(table, name, entry)

    return put


def test_there_is_an_example_of_each_thing_that_people_add() -> None:
    assert list(EXAMPLE) == ["An encoder", "A prompt format", "An output format", "A metric", "A data set"]


def test_an_encoder() -> None:
    own = added("An encoder", registry)["ARCHITECTURES"]["swift"]
    assert isinstance(own.build(1024), nn.Identity)
    assert own.marker not in {known.marker for known in registry.ARCHITECTURES.values()}
    assert own.interm_dim not in {known.interm_dim for known in registry.ARCHITECTURES.values()}


def test_a_prompt_format_reads_corners_and_names_what_it_leaves_out(
    hqsam: Run, photos: Path, put_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = added("A prompt format", prompt_file, format_names)
    monkeypatch.setitem(
        sys.modules, "hqsam_cli.prompts.readers.shapes", SimpleNamespace(read_shapes=own["read_shapes"])
    )
    put_in(readers.JSON_READERS, {"shapes": readers.load_reader(own["JSON_PROMPTS"]["shapes"])})
    shape = {"image": "a.jpg", "corners": [10, 20, 60, 50], "label": "cat"}
    (tmp_path / "shapes.json").write_text(json.dumps({"shapes": [shape, "junk", {"corners": [1, 2, 3, 4]}]}))
    ended = hqsam("segment", photos, "--boxes", "shapes.json", "-o", "-", "--strict")
    assert ended.code == 3 and "shapes.json: shapes; images: 1, boxes: 1" in ended.err
    assert "shapes without an image, skipped: 2 (shape 2, shape 3)" in ended.err
    (found,) = [annotation for line in ended.lines for annotation in line["annotations"]]
    assert found["prompt_box"] == [10, 20, 50, 30]


def test_an_output_format_is_written_and_kept(
    hqsam: Run, photos: Path, put_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = added("An output format", label_writer, format_names)
    monkeypatch.setitem(sys.modules, "hqsam_cli.formats.areas", SimpleNamespace(AreaWriter=own["AreaWriter"]))
    put_in(formats.WRITERS, {"areas": formats.load_writer(own["MASK_FORMATS"]["areas"])})
    command = ("segment", photos, "--boxes", "dets.json", "-f", "areas", "-f", "coco", "-o", "out")
    assert hqsam(*command).code == hqsam(*command).code == 0
    results = json.loads((tmp_path / "out/instances.json").read_text())
    names = {image["id"]: Path(image["file_name"]).with_suffix(".txt") for image in results["images"]}
    for annotation in results["annotations"]:
        lines = (tmp_path / "out/areas" / names[annotation["image_id"]]).read_text().splitlines()
        assert f"{annotation['id']} {annotation['area']}" in lines


def test_a_metric_is_scored(put_in: Any) -> None:
    put_in(metrics.METRICS, added("A metric", metrics)["METRICS"])
    left, all_of_it = np.zeros((8, 8), bool), np.ones((8, 8), bool)
    left[:, :4] = True
    assert metrics.score(left, all_of_it)["Dice"] == pytest.approx(2 / 3)


def test_a_data_set_is_found(put_in: Any) -> None:
    put_in(sets.DATASETS, added("A data set", sets)["DATASETS"])
    own = sets.DATASETS["leaves"]
    assert (own.key, own.title, own.count) == ("leaves", "Leaves", 120)
