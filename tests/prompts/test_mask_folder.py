"""Maps of several objects as coarse masks: the id maps of a run, and those of COCO panoptic segmentation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqsam_cli.configs import PromptConfig
from hqsam_cli.errors import HqsamError
from hqsam_cli.io.find import SourceImage
from hqsam_cli.prompts.fit import fit_prompts
from hqsam_cli.prompts.read import read_prompts
from hqsam_cli.prompts.table import PromptTable, bind_prompts

SIZE = (60, 40)
VALUES = np.zeros((40, 60), np.uint16)
VALUES[5:10, 5:20], VALUES[20:30, 30:50] = 1, 2


def bound(folder: Path, coarse_masks: Path, boxes: Path | None = None) -> PromptTable:
    Image.new("L", SIZE).save(folder / "a.jpg")
    config = PromptConfig(boxes=None if boxes is None else str(boxes), coarse_masks=str(coarse_masks))
    return bind_prompts(read_prompts(config), [SourceImage(str(folder / "a.jpg"), "a.jpg")])


def fitted(table: PromptTable) -> tuple[dict[int, int], list[str]]:
    """The value of the map that is the mask of each prompt by id, 0 if it has none; and problems."""
    prompts, problems = fit_prompts(table.for_image("a.jpg"), *SIZE)
    found = {}
    for prompt in prompts:
        own = [n for n in (1, 2) if prompt.mask is not None and np.array_equal(prompt.mask, n == VALUES)]
        found[prompt.annotation_id] = own[0] if own else 0
    return found, problems


def id_maps(folder: Path, journal: list[int] | None) -> Path:
    """The id maps of a run whose journal has annotations with these ids."""
    (folder / "out/idmaps").mkdir(parents=True)
    Image.fromarray(VALUES).save(folder / "out/idmaps/a.jpg.png")
    if journal is not None:
        lines = [{"identity": {}}, {"file_name": "a.jpg", "annotations": [{"id": n} for n in journal]}]
        (folder / "out/journal.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"file_n')
    return folder / "out/idmaps"


def instances(folder: Path, *ids: int) -> Path:
    boxes = [{"id": n, "image_id": 1, "bbox": [1, 1, 50, 30]} for n in ids]
    path = folder / "boxes.json"
    path.write_text(json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": boxes}))
    return path


@pytest.mark.parametrize("order", [[2, 1], [3, 2], [70, 9]])
def test_values_of_the_id_maps_of_a_run_are_objects_of_its_journal(tmp_path: Path, order: list[int]) -> None:
    maps = id_maps(tmp_path, order)
    expected = {number: place for place, number in enumerate(order, 1)}
    assert fitted(bound(tmp_path, boxes=instances(tmp_path, *sorted(order)), coarse_masks=maps)) == (expected, [])
    assert fitted(bound(tmp_path, coarse_masks=maps)) == (expected, [])


def test_a_prompt_alone_gets_its_object_of_several(tmp_path: Path) -> None:
    table = bound(tmp_path, boxes=instances(tmp_path, 3), coarse_masks=id_maps(tmp_path, [4, 3]))
    assert fitted(table) == ({3: 2, 4: 1}, [])


def test_positions_without_a_journal_are_not_taken_for_ids(tmp_path: Path) -> None:
    maps = id_maps(tmp_path, None)
    found, problems = fitted(bound(tmp_path, boxes=instances(tmp_path, 2, 3), coarse_masks=maps))
    assert found == {2: 0, 3: 0} and "positions 1 to 2, which are no annotation ids" in problems[0]
    assert fitted(bound(tmp_path, boxes=instances(tmp_path, 1, 2), coarse_masks=maps)) == ({1: 1, 2: 2}, [])


@pytest.mark.parametrize("count", [1, 2])
def test_panoptic_json_is_read_with_the_images_beside_it(tmp_path: Path, count: int) -> None:
    segments = [{"id": n, "category_id": 1, "bbox": [1, 1, 50, 30], "iscrowd": 0} for n in range(1, 1 + count)]
    document = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    path = tmp_path / "panoptic.json"
    path.write_text(json.dumps(document))
    with pytest.raises(HqsamError, match="whose masks are in images; pass their folder, or move it to"):
        bound(tmp_path, coarse_masks=path)
    (tmp_path / "panoptic").mkdir()
    colors = np.zeros((40, 60, 3), np.uint8)
    colors[..., 0] = VALUES * (count >= VALUES)
    Image.fromarray(colors).save(tmp_path / "panoptic/a.png")
    expected = {n: n for n in range(1, 1 + count)}
    assert fitted(bound(tmp_path, coarse_masks=path)) == (expected, [])
    assert fitted(bound(tmp_path, boxes=path, coarse_masks=path)) == (expected, [])


def test_masks_of_a_run_keep_its_classes_and_scores(tmp_path: Path) -> None:
    maps = id_maps(tmp_path, None)
    objects = [{"id": 8, "category_id": 4, "score": 0.75}, {"id": 3, "category_id": 2, "score": 0.5}]
    categories = [{"id": 2, "name": "cat"}, {"id": 4, "name": "dog"}]
    lines = [{"began": {"categories": categories}}, {"file_name": "a.jpg", "annotations": objects}]
    (tmp_path / "out/journal.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "out/masks/a.jpg").mkdir(parents=True)
    for value, own in enumerate(objects, 1):
        Image.fromarray(np.where(value == VALUES, 255, 0).astype(np.uint8)).save(
            tmp_path / f"out/masks/a.jpg/{own['id']}.png"
        )
    for folder in (maps, tmp_path / "out/masks"):
        table = bound(tmp_path, folder)
        prompts = sorted((own.annotation_id, own.category_id, own.score) for own in table.for_image("a.jpg").prompts)
        assert prompts == [(3, 2, 0.5), (8, 4, 0.75)] and table.categories == categories, folder
    boxes = tmp_path / "boxes.json"
    named = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 4, "name": "kite"}]}
    for ids, expected, names in (([3, 8], [(3, 4), (8, 4)], ["kite"]), ([8], [(3, 2), (8, 4)], ["kite", "cat"])):
        given = [{"id": n, "image_id": 1, "category_id": 4, "bbox": [0, 0, 4, 4]} for n in ids]
        boxes.write_text(json.dumps({**named, "annotations": given}))
        table = bound(tmp_path, tmp_path / "out/masks", boxes)
        assert sorted((own.annotation_id, own.category_id) for own in table.for_image("a.jpg").prompts) == expected
        assert [own["name"] for own in table.categories] == names
