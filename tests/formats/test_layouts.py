"""Layouts of data sets, as other programs open them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hqsam_cli.configs.formats import LAYOUTS
from hqsam_cli.formats import WRITERS
from hqsam_cli.results.stream import open_results
from hqsam_cli.results.write import write_as
from tests.formats.readers import ask_readers
from tests.formats.shapes import FAILED, a_run, drawn, written

NAMES = ("a.jpg", "sub/b.png")
READ = """
import datumaro, json, sys
items = {item.id: item for item in datumaro.Dataset.import_from(sys.argv[1], "coco_instances")}
masks = {name: [a for a in item.annotations if a.type == datumaro.AnnotationType.mask] for name, item in items.items()}
areas = {name: [int(a.image.sum()) for a in sorted(own, key=lambda a: a.id)] for name, own in masks.items()}
print(json.dumps([areas, [item.media.data.shape for item in items.values()]]))
"""


def laid_out(tmp_path: Path, name: str) -> Path:
    """The folder of a layout, of results whose images are named by absolute paths."""
    made = written(WRITERS["coco"], a_run(tmp_path / "imgs", NAMES), tmp_path)
    document = json.loads(made.read_text())
    document["images"] = [own for own in document["images"] if own["file_name"] != FAILED]
    document["images"][0]["file_name"] = str(tmp_path / "imgs" / NAMES[0])
    made.write_text(json.dumps(document))
    layout = LAYOUTS[name]
    for _ in range(2):  # again over what is there
        write_as(layout.form, tmp_path / "set", open_results(made), {}, layout=layout, images=tmp_path / "imgs")
    return tmp_path / "set"


@pytest.mark.parametrize("name", ["datumaro", "fiftyone"])
def test_the_file_names_the_images_in_the_folder(tmp_path: Path, name: str) -> None:
    folder, layout = laid_out(tmp_path, name), LAYOUTS[name]
    document = json.loads((folder / layout.file).read_text())
    assert [own["file_name"] for own in document["images"]] == [*NAMES]
    for image in NAMES:
        link = folder / layout.images / image
        assert link.is_symlink() == layout.symbolic
        assert os.path.samefile(link, tmp_path / "imgs" / image)


def test_datumaro_opens_its_layout(tmp_path: Path) -> None:
    areas, shapes = ask_readers(READ, laid_out(tmp_path, "datumaro"))
    expected = [int(np.count_nonzero(mask.bits)) for mask in drawn().values()]
    assert areas == {"a": expected, "sub/b": expected}
    assert len(shapes) == 2 and all(shape[2] == 3 for shape in shapes)
