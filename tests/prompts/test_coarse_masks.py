"""Coarse masks in folders, alone and joined to boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hqsam_cli.configs import PromptConfig
from hqsam_cli.io.find import SourceImage
from hqsam_cli.prompts.fit import fit_prompts
from hqsam_cli.prompts.read import read_prompts
from hqsam_cli.prompts.table import bind_prompts, first_id
from tests.prompts.tables import ids, instances


def test_a_folder_of_masks_alone_or_joined(bound: Any, tmp_path: Path) -> None:
    for name in ("a.jpg/3.png", "a.jpg/x.png", "b.jpg.png", "sub/c.png", "d.jpg.png", "e.jpg/3.png"):
        path = tmp_path / "masks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 255, np.uint8)).save(path)
    names = ["a.jpg", "b.jpg", "sub/c.jpg", "d.jpg", "e.jpg", "f.jpg", "x" * 254 + ".jpg"]
    table = bound(names, coarse_masks=str(tmp_path / "masks"))
    assert [len(ids(table, name)) for name in names] == [1, 1, 1, 1, 1, 0, 0]
    assert ids(table, "a.jpg") == [first_id("a.jpg")] and len({ids(table, name)[0] for name in names[:5]}) == 5

    boxes = instances([(3, 1, 0.9), (4, 1, 0.8), (5, 2), (6, 4), (7, 4)], {1: "a.jpg", 2: "b.jpg", 4: "d.jpg"})
    table = bound(names, boxes=boxes, coarse_masks=str(tmp_path / "masks"), score_threshold=0.85)
    assert [p.mask is not None and p.box is not None for p in table.for_image("a.jpg").prompts] == [True]
    assert table.for_image("b.jpg").prompts[0].mask == tmp_path / "masks/b.jpg.png"
    fitted, lost = fit_prompts(table.for_image("d.jpg"), 100, 100)
    assert [p.mask for p in fitted] == [None, None] and len(lost) == 2
    assert all("d.jpg.png: one mask for several prompts" in text for text in lost)
    assert any("masks that match no input: 1 (a.jpg/x.png)" in text for text in table.notes.lost)


def test_a_mask_of_object_0_gets_another_id_and_a_line(bound: Any, tmp_path: Path) -> None:
    for name in ("a.jpg/0.png", "a.jpg/1.png", "b.jpg/2.png"):
        path = tmp_path / "masks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 255, np.uint8)).save(path)
    table = bound(["a.jpg", "b.jpg"], coarse_masks=str(tmp_path / "masks"))
    assert set(ids(table, "a.jpg")) == {first_id("a.jpg"), 1} and ids(table, "b.jpg") == [2]
    (said,) = table.notes.remarks
    assert said.endswith("masks of object 0, which evaluation reads as none, with new ids: 1 (a.jpg/0.png)")


def test_coarse_masks_of_any_kind_of_file(bound: Any, tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for name in ("a.PNG", "b.jpg", "c.bmp", "c.png", "._a.png", ".DS_Store.png"):
        Image.fromarray(np.full((4, 4), 255, np.uint8)).save(folder / name)
    table = bound(["a.jpg", "b.jpg", "c.jpg"], coarse_masks=str(folder))
    assert [len(ids(table, f"{stem}.jpg")) for stem in "abc"] == [1, 1, 1]
    (lost,) = table.notes.lost
    assert lost.endswith("masks that match no input: 1 (c.bmp)")


def test_panoptic_segments_are_boxes_and_their_map_is_the_coarse_masks(bound: Any, tmp_path: Path) -> None:
    ids_of_pixels = np.zeros((40, 60), np.int32)
    ids_of_pixels[5:10, 5:20], ids_of_pixels[20:30, 30:50] = 3_226_956, 6_979_964
    colors = np.stack([ids_of_pixels >> shift & 255 for shift in (0, 8, 16)], axis=2).astype(np.uint8)
    (tmp_path / "panoptic").mkdir()
    Image.fromarray(colors).save(tmp_path / "panoptic/a.png")
    segments = [
        {"id": 3_226_956, "category_id": 1, "iscrowd": 0, "bbox": [5, 5, 15, 5], "area": 75},
        {"id": 6_979_964, "category_id": 2, "iscrowd": 0, "bbox": [30, 20, 20, 10], "area": 200},
    ]
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 60, "height": 40}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
        "categories": [{"id": 1, "name": "person", "isthing": 1}, {"id": 2, "name": "wall", "isthing": 0}],
    }
    table = bound(["a.jpg"], boxes=document, coarse_masks=str(tmp_path / "panoptic"))
    fitted, lost = fit_prompts(table.for_image("a.jpg"), 60, 40)
    assert [(p.annotation_id, p.box) for p in fitted] == [(3_226_956, (5, 5, 20, 10)), (6_979_964, (30, 20, 50, 30))]
    assert [np.array_equal(p.mask, ids_of_pixels == p.annotation_id) for p in fitted] == [True, True] and not lost  # type: ignore[arg-type]


def test_masks_are_named_as_in_earlier_results_or_as_listed(tmp_path: Path) -> None:
    images = [SourceImage(str(tmp_path / "photos/a/x.jpg"), "a/x.jpg", listed="x.jpg")]
    for name in ("x.png", "a/x.png"):
        path = tmp_path / name.replace("/", "_") / name
        path.parent.mkdir(parents=True)
        Image.fromarray(np.full((4, 4), 255, np.uint8)).save(path)
        folder = tmp_path / name.replace("/", "_")
        table = bind_prompts(read_prompts(PromptConfig(coarse_masks=str(folder))), images)
        assert [own.mask for own in table.for_image("a/x.jpg").prompts] == [path], name
