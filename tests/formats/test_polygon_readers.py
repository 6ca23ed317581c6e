"""Polygons and boxes of masks, opened by the programs that they are for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from hqsam_cli.configs import SegmentationKind
from hqsam_cli.formats import WRITERS
from hqsam_cli.records import CocoImage
from hqsam_cli.results.edit import split
from hqsam_cli.results.stream import Results
from tests.formats.readers import ask_readers
from tests.formats.shapes import CATEGORIES, HEIGHT, WIDTH, a_run, drawn, iou, written

NAMES = [category["name"] for category in CATEGORIES]
EXPECTED = [mask.full() for mask in drawn().values()]
CVAT_ANNOTATIONS = """
import datumaro, json, sys
items = {item.id: item.annotations for item in datumaro.Dataset.import_from(sys.argv[1], "cvat")}
print(json.dumps([[own.label, own.group, list(own.points)] for own in items["a"]]))
"""
LABEL_STUDIO_ERRORS = """
import json, sys
from label_studio_sdk.label_interface import LabelInterface
interface = LabelInterface(open(sys.argv[1]).read())
tasks = json.load(open(sys.argv[2]))
print(json.dumps([interface.validate_prediction(task["predictions"][0], return_errors=True) for task in tasks]))
"""
SAME = 0.99  # IoU of a mask and of what is drawn again; a reader may add a line between parts


def check(masks: list[np.ndarray], same: float = SAME) -> None:
    """The masks are those of `drawn`."""
    assert len(masks) == len(EXPECTED)
    for found, expected in zip(masks, EXPECTED, strict=True):
        assert found.shape == (HEIGHT, WIDTH)
        assert iou(found, expected) > same


def check_near(masks: list[np.ndarray]) -> None:
    """The masks are those of `drawn` but for a speck, and a pixel along the outlines, as of a reader that rounds."""
    grow = np.ones((3, 3), np.uint8)
    for found, expected in zip((mask.astype(np.uint8) for mask in masks), EXPECTED, strict=True):
        assert not (found & (cv2.dilate(expected.astype(np.uint8), grow) == 0)).any()
        assert (expected & (cv2.dilate(found, grow) == 0)).sum() <= 1


def united(parts: list[tuple[Any, np.ndarray]]) -> list[np.ndarray]:
    """Masks of parts that have the same key."""
    masks: dict[Any, np.ndarray] = {}
    for key, mask in parts:
        masks[key] = masks[key] | mask if key in masks else mask
    return list(masks.values())


@pytest.mark.parametrize("count", [1, 9])  # of one image, a part would be empty
def test_ultralytics_takes_the_data_set_for_training(tmp_path: Path, count: int) -> None:
    from hqsam_cli.detection.yolo import ultralytics

    ultralytics()  # before its parts, so that it leaves other libraries alone
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset, polygon2mask

    names = ("a.jpg", "a.png", "train/images/b.jpg", "labels/c.jpg", "d.jpg", "e.jpg", "f.jpg", "g.jpg", "h.jpg")[
        :count
    ]
    folder = written(WRITERS["yolo-seg"], a_run(tmp_path / "imgs", names), tmp_path / "out")
    moved = folder.rename(tmp_path / "moved")
    data = check_det_dataset(str(moved / "data.yaml"), autodownload=False)
    assert data["names"] == dict(enumerate(NAMES))
    options: Any = get_cfg(overrides={"task": "segment"})
    parts: dict[str, list[str]] = {"train": list(names), "val": list(names)}
    if count > 1:
        listed = [CocoImage(id=n, file_name=own) for n, own in enumerate(names)]
        names_of = Results(tmp_path, "COCO instances", images=lambda: iter(listed))
        made = split(names_of, {"train": 0.8, "val": 0.2}, seed=0)
        parts = {part: [own["file_name"] for own in of_part.images()] for part, of_part in made.items()}
        assert all(parts.values())
    for part, own in parts.items():
        dataset: Any = build_yolo_dataset(options, data[part], 1, data, mode="val")
        found = sorted(Path(path).resolve() for path in dataset.im_files)
        assert found == sorted((tmp_path / "imgs" / name).resolve() for name in own), part
    for label in dataset.labels:
        assert label["cls"].ravel().tolist() == [0, 1, 0, 1, 0]
        outlines = [segment * [WIDTH, HEIGHT] for segment in label["segments"]]
        # Lines of one pixel between three parts are what it costs to make one outline of them.
        check([polygon2mask((HEIGHT, WIDTH), [outline.ravel()]) for outline in outlines], 0.97)


def test_lists_of_an_earlier_run_with_more_images_do_not_stay(tmp_path: Path) -> None:
    names = ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg", "g.jpg", "h.jpg")
    folder = written(WRITERS["yolo-seg"], a_run(tmp_path / "imgs", names), tmp_path)
    assert (folder / "train.txt").is_file() and (folder / "val.txt").is_file()
    written(WRITERS["yolo-seg"], a_run(tmp_path / "imgs", names[:1]), tmp_path)
    assert not list(folder.glob("train.txt")) and not list(folder.glob("val.txt"))
    assert "train: images\n" in (folder / "data.yaml").read_text()


def test_supervision_reads_the_data_set(tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    folder = written(WRITERS["yolo-seg"], a_run(tmp_path / "imgs"), tmp_path)
    places = {"images": folder / "images", "annotations": folder / "labels", "data_yaml": folder / "data.yaml"}
    options = {f"{name}_path" if "yaml" in name else f"{name}_directory_path": str(p) for name, p in places.items()}
    dataset = supervision.DetectionDataset.from_yolo(**options, force_masks=True)
    found = {Path(path).name: annotations for path, _, annotations in dataset}
    assert dataset.classes == NAMES
    assert found["a.jpg"].class_id.tolist() == [0, 1, 0, 1, 0]
    check(list(found["a.jpg"].mask), 0.97)


@pytest.mark.parametrize("segmentation", ["polygon", "both"])
def test_polygons_in_coco(tmp_path: Path, segmentation: SegmentationKind) -> None:
    path = written(WRITERS["coco"], a_run(tmp_path / "imgs", segmentation=segmentation), tmp_path)
    coco = COCO(str(path))
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert all(isinstance(a["segmentation"], list) and "polygons" not in a for a in annotations)
    check([coco.annToMask(a).astype(bool) for a in annotations])
    assert all(("rle" in a) == (segmentation == "both") for a in annotations)
    if segmentation == "both":
        check([coco_mask.decode(a["rle"]).astype(bool) for a in annotations], 1 - 1e-9)
    lines = written(WRITERS["ndjson"], a_run(tmp_path / "imgs", segmentation=segmentation), tmp_path).read_text()
    assert json.loads(lines.splitlines()[0])["annotations"] == annotations


def test_run_lengths_are_as_they_were(tmp_path: Path) -> None:
    document = json.loads(written(WRITERS["coco"], a_run(tmp_path / "imgs"), tmp_path).read_text())
    assert all(isinstance(a["segmentation"], dict) and "polygons" not in a for a in document["annotations"])


def test_supervision_reads_polygons_of_coco(tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    path = written(WRITERS["coco"], a_run(tmp_path / "imgs", segmentation="polygon"), tmp_path)
    dataset = supervision.DetectionDataset.from_coco(str(tmp_path / "imgs"), str(path), force_masks=True)
    masks = [list(found.mask) for _, _, found in dataset if len(found)]
    assert len(masks) == 2
    for own in masks:
        check_near(own)


def test_sahi_reads_polygons_of_coco(tmp_path: Path) -> None:
    sahi = pytest.importorskip("sahi.utils.coco")
    path = written(WRITERS["coco"], a_run(tmp_path / "imgs", segmentation="polygon"), tmp_path)
    images = sahi.Coco.from_coco_dict_or_path(str(path)).images
    for annotation, expected in zip(images[0].annotations, EXPECTED, strict=True):
        outlines, _ = cv2.findContours(expected.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        # It measures the area that polygons enclose, which is a quarter of a pixel further in than the mask.
        assert 0 < expected.sum() - annotation.area <= sum(map(len, outlines)) / 2


def test_pylabel_reads_polygons_of_coco(tmp_path: Path) -> None:
    importer = pytest.importorskip("pylabel.importer")
    path = written(WRITERS["coco"], a_run(tmp_path / "imgs", segmentation="polygon"), tmp_path)
    table = importer.ImportCoco(str(path)).df
    rows = table[table.img_filename == "a.jpg"]
    parts = [coco_mask.frPyObjects(parts, HEIGHT, WIDTH) for parts in rows.ann_segmentation]
    check([coco_mask.decode(coco_mask.merge(part)).astype(bool) for part in parts])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files open
def test_pylabel_reads_boxes_of_voc(tmp_path: Path) -> None:
    importer = pytest.importorskip("pylabel.importer")
    voc = written(WRITERS["voc"], a_run(tmp_path / "imgs", ("a.jpg",)), tmp_path)
    rows = importer.ImportVOC(str(voc)).df
    assert rows.cat_name.tolist() == [NAMES[n] for n in (0, 1, 0, 1, 0)]
    assert (rows.ann_bbox_xmin.tolist()[4], rows.ann_bbox_xmax.tolist()[4]) == (51, 53)


def test_supervision_reads_boxes_of_voc(tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    folder = written(WRITERS["voc"], a_run(tmp_path / "imgs", ("a.jpg",)), tmp_path)
    dataset = supervision.DetectionDataset.from_pascal_voc(str(tmp_path / "imgs"), str(folder))
    (_, _, annotations) = next(iter(dataset))
    assert [dataset.classes[n] for n in annotations.class_id] == [NAMES[n] for n in (0, 1, 0, 1, 0)]
    tight = [mask.tight_box() for mask in drawn().values()]
    assert annotations.xyxy.tolist() == [[x, y, x + w, y + h] for x, y, w, h in tight]


def test_labelme_reads_its_files(tmp_path: Path) -> None:
    labelme = pytest.importorskip("labelme._label_file", exc_type=ImportError)  # Qt needs libraries of the system
    drawing = labelme._utils if hasattr(labelme, "_utils") else labelme.utils  # public before labelme 7

    folder = written(WRITERS["labelme"], a_run(tmp_path / "imgs"), tmp_path)
    data = labelme.read_label_file(filename=str(folder / "sub/b.json"))
    assert len(data.image_data) > 0
    assert [shape["label"] for shape in data.shapes] == [NAMES[n] for n in (0, 1, 0, 0, 0, 1, 0)]
    keys = [shape["group_id"] or -number for number, shape in enumerate(data.shapes)]
    masks = [drawing.shape_to_mask((HEIGHT, WIDTH), own["points"], shape_type="polygon") for own in data.shapes]
    check(united(list(zip(keys, masks, strict=True))))


def test_datumaro_reads_what_cvat_does(tmp_path: Path) -> None:
    found = ask_readers(CVAT_ANNOTATIONS, written(WRITERS["cvat"], a_run(tmp_path / "images"), tmp_path))
    assert [label for label, _, _ in found] == [0, 1, 0, 0, 0, 1, 0]
    keys = [group or -number for number, (_, group, _) in enumerate(found)]
    drawn_again = [coco_mask.decode(coco_mask.frPyObjects([points], HEIGHT, WIDTH))[..., 0] for _, _, points in found]
    check(united(list(zip(keys, (mask.astype(bool) for mask in drawn_again), strict=True))))


def test_label_studio_takes_the_predictions(tmp_path: Path) -> None:
    path = written(WRITERS["labelstudio"], a_run(tmp_path / "imgs"), tmp_path)
    assert ask_readers(LABEL_STUDIO_ERRORS, tmp_path / "labelstudio.xml", path) == [[], []]


def test_percentages_of_label_studio_are_the_masks(tmp_path: Path) -> None:
    (first, _) = json.loads(written(WRITERS["labelstudio"], a_run(tmp_path / "imgs"), tmp_path).read_text())
    assert first["data"]["image"] == f"/data/local-files/?d={str(tmp_path)[1:]}/imgs/a.jpg"
    parts = []
    for region in first["predictions"][0]["result"]:
        points = np.array(region["value"]["points"]) / 100 * [region["original_width"], region["original_height"]]
        mask = coco_mask.decode(coco_mask.frPyObjects([points.ravel().tolist()], HEIGHT, WIDTH))[..., 0]
        parts.append((region["meta"]["text"][0], mask.astype(bool)))
    check(united(parts))
