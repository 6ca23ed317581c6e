"""Files of SA-1B."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from hqsam_cli.configs import PromptConfig
from hqsam_cli.io.find import SourceImage
from hqsam_cli.prompts.read import read_prompt_file, read_prompts
from hqsam_cli.prompts.table import bind_prompts
from tests.prompts.readers.reading import masks, objects, read

MASK = np.zeros((60, 80), bool)
MASK[20:31, 10:41] = True
RLE = coco_mask.encode(np.asfortranarray(MASK.astype(np.uint8)))
ANNOTATION = {
    "bbox": [10.0, 20.0, 30.0, 10.0],
    "area": int(MASK.sum()),
    "segmentation": {"size": [60, 80], "counts": RLE["counts"].decode()},
    "predicted_iou": 0.93,
    "point_coords": [[25.5, 24.25]],
    "crop_box": [0.0, 0.0, 80.0, 60.0],
    "id": 537022834,
    "stability_score": 0.97,
}


def document(number: int) -> dict[str, object]:
    image = {"image_id": number, "width": 80, "height": 60, "file_name": f"sa_{number}.jpg"}
    return {"image": image, "annotations": [{**ANNOTATION, "id": ANNOTATION["id"] + number}]}  # type: ignore[operator]


def test_a_file_is_boxes_masks_or_points() -> None:
    file = read(document(7))
    assert (file.kind, objects(file)) == ("SA-1B", [("sa_7.jpg", None, (10, 20, 40, 30))])
    assert [(image.image_id, image.size) for image in file.images.values()] == [(7, (80, 60))]
    assert (masks(document(7), 80, 60)[0] == MASK).all()
    (point,) = objects(read(document(7), "points"))
    assert point[2].tolist() == [[25.5, 24.25, 1]]


def test_a_folder_is_a_file_an_image(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"sa_{number}.json").write_text(json.dumps(document(number)))
    file = read_prompt_file(str(tmp_path), "box")
    assert [own[0] for own in objects(file)] == ["sa_1.jpg", "sa_2.jpg"]
    assert [a.annotation_id for a in file.annotations] == [537022835, 537022836]


def test_photos_beside_the_files_are_no_masks(tmp_path: Path) -> None:
    (tmp_path / "sa_1.json").write_text(json.dumps(document(1)))
    Image.new("RGB", (80, 60)).save(tmp_path / "sa_1.jpg")
    given = read_prompts(PromptConfig(boxes=str(tmp_path), coarse_masks=str(tmp_path)))
    (prompt,) = bind_prompts(given, [SourceImage(str(tmp_path / "sa_1.jpg"), "sa_1.jpg")]).for_image("sa_1.jpg").prompts
    assert given.masks is None and prompt.box == (10, 20, 40, 30) and prompt.mask == ANNOTATION["segmentation"]


def test_a_damaged_annotation_is_noted() -> None:
    file = read({**document(1), "annotations": [{"bbox": [1, 2, 0, 4]}, 5]})
    assert file.annotations == [] and file.entries == 2 and file.silent == {"image 1"}
    assert len(file.notes.lost) == 2
