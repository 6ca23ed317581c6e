"""What programs read of our files, beside the masks: `python tests/bench/readers.py READER TRUTH PLACE IMAGES`.

TRUTH is COCO with RLE, PLACE what READER opens of it, IMAGES the folder of the images. Runs in any environment that has
the reader, pycocotools and NumPy; hqsam is not needed. Prints the version, the number of objects, and mean and lowest
IoU with the masks of TRUTH, to which they belong by image and order. Objects that are not read count as IoU 0.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

Masks = Iterator[tuple[str, Any]]  # image stems, and a mask for each object


def by_pycocotools(place: Path, _images: Path) -> Masks:
    """`COCO.annToMask`."""
    from pycocotools.coco import COCO

    coco = COCO(str(place))
    for own in coco.anns.values():
        yield Path(coco.imgs[own["image_id"]]["file_name"]).stem, coco.annToMask(own)


def by_supervision(place: Path, images: Path) -> Masks:
    """`DetectionDataset.from_coco`, or `from_yolo` of a folder."""
    import supervision

    if place.is_dir():
        folders = str(place / "images"), str(place / "labels"), str(place / "data.yaml")
        data = supervision.DetectionDataset.from_yolo(*folders, force_masks=True)
    else:
        data = supervision.DetectionDataset.from_coco(str(images), str(place), force_masks=True)
    for path, _, found in data:
        for mask in found.mask if found.mask is not None else ():
            yield Path(path).stem, mask


def by_sahi(place: Path, _images: Path) -> Masks:
    """`Coco.from_coco_dict_or_path`, its polygons by pycocotools."""
    from sahi.utils.coco import Coco

    for image in Coco.from_coco_dict_or_path(str(place)).images:
        for own in image.annotations:
            parts, empty = own.segmentation, np.zeros((image.height, image.width), bool)
            drawn = coco_mask.merge(coco_mask.frPyObjects(parts, image.height, image.width)) if parts else None
            yield Path(image.file_name).stem, empty if drawn is None else coco_mask.decode(drawn)


def by_ultralytics(place: Path, images: Path) -> Masks:
    """Labels of a data set by `polygon2mask`; those of COCO by `convert_coco`."""
    from PIL import Image
    from ultralytics.data.converter import convert_coco
    from ultralytics.data.utils import polygon2mask

    with TemporaryDirectory() as folder:
        labels = place / "labels"
        if place.is_file():
            Path(folder, "json").mkdir()
            Path(folder, "json/instances_all.json").write_bytes(place.read_bytes())
            convert_coco(f"{folder}/json", f"{folder}/made", use_segments=True, cls91to80=False)
            labels = Path(folder, "made/labels/all")
        for label in sorted(labels.rglob("*.txt")):
            with Image.open(next(images.rglob(f"{label.stem}.*"))) as image:
                size = np.array(image.size, np.float32)
            for line in label.read_text().splitlines():
                corners = np.array(line.split()[1:], np.float32).reshape(-1, 2) * size
                yield label.stem, polygon2mask((int(size[1]), int(size[0])), [corners.ravel()])


def by_datumaro(place: Path, _images: Path) -> Masks:
    """`Dataset.import_from`."""
    import datumaro

    for item in datumaro.Dataset.import_from(str(place), "coco_instances"):
        masks = [own for own in item.annotations if own.type == datumaro.AnnotationType.mask]
        for own in sorted(masks, key=lambda mask: mask.id):  # it has an order of its own
            yield Path(item.id).stem, own.image


def by_fiftyone(place: Path, _images: Path) -> Masks:
    """The importer of `COCODetectionDataset`, which needs no database."""
    from fiftyone.utils.coco import COCODetectionDatasetImporter

    with COCODetectionDatasetImporter(dataset_dir=str(place), label_types="segmentations") as samples:
        for path, size, found in samples:
            for own in found.detections if found is not None else ():
                mask = np.zeros((size.height, size.width), bool)
                x, y = round(own.bounding_box[0] * size.width), round(own.bounding_box[1] * size.height)
                h, w = own.mask.shape
                mask[y : y + h, x : x + w] = own.mask
                yield Path(path).stem, mask


def by_labelme(place: Path, _images: Path) -> Masks:
    """`read_label_file` and `shape_to_mask`; shapes of a group are one object."""
    from labelme import _label_file

    try:  # labelme 7
        from labelme._utils import shape_to_mask
    except ImportError:
        from labelme.utils import shape_to_mask
    for label in sorted(place.rglob("*.json")):
        data = _label_file.read_label_file(filename=str(label))
        document = json.loads(label.read_text())
        size = document["imageHeight"], document["imageWidth"]
        objects: dict[Any, np.ndarray] = {}
        for number, shape in enumerate(data.shapes):
            key = number if shape["group_id"] is None else ("group", shape["group_id"])
            part = shape_to_mask(size, shape["points"], shape_type=shape["shape_type"])
            objects[key] = objects[key] | part if key in objects else part
        for mask in objects.values():
            yield label.stem, mask


READERS: dict[str, Callable[[Path, Path], Masks]] = {
    name.removeprefix("by_"): own for name, own in list(globals().items()) if name.startswith("by_")
}


def main() -> None:
    """Print a line about a reader."""
    reader, truth, place, images = sys.argv[1], *map(Path, sys.argv[2:5])
    document = json.loads(truth.read_text())
    names = {own["id"]: Path(own["file_name"]).stem for own in document["images"]}
    expected: dict[str, list[np.ndarray]] = defaultdict(list)
    for own in document["annotations"]:
        mask = coco_mask.decode({**own["segmentation"], "counts": own["segmentation"]["counts"].encode()}).astype(bool)
        if mask.any():
            expected[names[own["image_id"]]].append(mask)
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    for stem, mask in READERS[reader](place, images):
        found[stem].append(np.asarray(mask, bool))
    ious = []
    for stem, masks in expected.items():
        for n, mask in enumerate(masks):
            other = found[stem][n] if n < len(found[stem]) else np.zeros_like(mask)
            ious.append(np.count_nonzero(mask & other) / np.count_nonzero(mask | other))
    read = sum(map(len, found.values()))
    print(
        f"{reader} {version(reader)}: {read} of {len(ious)} objects, {sum(iou == 0 for iou in ious)} without a mask, "
        f"mean IoU {np.mean(ious):.4f}, lowest {min(ious):.4f}"
    )


if __name__ == "__main__":
    main()
