"""Many objects an image: COCO, LVIS, UVO, YouTube-VIS frame by frame, and any COCO-style JSON.

Prompts are boxes, of the ground truth or of a detector; scores of results are the box's times SAM's estimate of the IoU
(HQ-SAM, supplement). Average precision is `faster-coco-eval`'s: of masks, and of boundaries (Cheng et al., CVPR 2021).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..configs import DEFAULT_MAX_PIXELS
from ..data.sets import Dataset
from ..errors import HqsamError, ImageError
from ..formats.prompt_file import leaves_folder, number_or_none
from ..formats.segmentation import decode_segmentation, encode_crop
from ..io.images import read_image
from ..records import MaskCrop, Prompt
from .metrics import score
from .protocols import Evaluator
from .runner import Record

STRICT_RATIO = 0.01  # of the diagonal: the paper's "strict" boundary AP
COCO_DETECTIONS, LVIS_DETECTIONS = 100, 300  # results an image that count


@dataclass(frozen=True, slots=True)
class GTImage:
    """An image and what is to be found in it.

    Attributes:
        size: (width, height) the data set gives, or None.
        gts: COCO annotations.
        boxes: what prompts the model: xywh, with `category_id` and, from a detector, `score`.
    """

    name: str
    image_id: int
    path: Path
    size: tuple[int, int] | None
    gts: list[dict[str, Any]]
    boxes: list[dict[str, Any]]


@dataclass(slots=True)
class InstanceSet:
    """A COCO-style data set.

    Attributes:
        document: `images`, `annotations` and `categories`, as COCO has them.
        images: in the order of the document.
        problems: what was left out, a sentence each.
    """

    dataset: Dataset
    document: dict[str, Any]
    images: list[GTImage]
    problems: list[str] = field(default_factory=list)


def instance_set(dataset: Dataset, detections: Path | None) -> InstanceSet:
    """Read a data set's JSON, and the detector's boxes where there are some.

    Raises:
        HqsamError: no such JSON, entries that lack something, or detections of other images.
    """
    document = _frames_as_images(_json(Path(dataset.gt)))
    for key in ("images", "annotations", "categories"):
        if not isinstance(document.get(key), list):
            raise HqsamError(f"{dataset.gt}: has no list of {key}; give COCO-style instances")
    _check_entries(dataset.gt, "image", document["images"], "id")
    _check_entries(dataset.gt, "category", document["categories"], "id")
    known = {image["id"] for image in document["images"]}
    gts: dict[int, list[dict[str, Any]]] = defaultdict(list)
    _check_entries(dataset.gt, "annotation", document["annotations"], "id", "image_id", "category_id")
    for number, annotation in enumerate(document["annotations"], 1):
        if not _is_box(annotation.get("bbox")) or "segmentation" not in annotation:
            raise HqsamError(f"{dataset.gt}: annotation {number} needs a bbox of four numbers and a segmentation")
        gts[annotation["image_id"]].append(annotation)
    strange = len(gts.keys() - known)
    if strange:
        raise HqsamError(f"{dataset.gt}: annotations of {strange} images that it does not list; fetch it again")
    boxes = gts if detections is None else _detected(detections, document, dataset.class_agnostic)
    result = InstanceSet(dataset, document, [])
    root = Path(dataset.images)
    for image in document["images"]:
        own = boxes.get(image["id"], [])
        usable = [box for box in own if not box.get("iscrowd") and box["bbox"][2] > 0 and box["bbox"][3] > 0]
        flat = sum(1 for box in own if not box.get("iscrowd")) - len(usable)
        if flat:
            result.problems.append(f"{image.get('file_name')}: {flat} boxes without an area; left out")
        name = _file_name(image)
        size = (image["width"], image["height"]) if image.get("width") and image.get("height") else None
        result.images.append(GTImage(name, image["id"], root / name, size, gts.get(image["id"], []), usable))
    return result


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise HqsamError(f"{path}: cannot be read ({error.strerror}); give a JSON file") from None
    except ValueError as error:
        raise HqsamError(f"{path}: is not JSON ({error}); fetch it again") from None


def _check_entries(path: Path | str, what: str, entries: list[Any], *fields: str) -> None:
    """Raise an HqsamError at the first entry that is no object with these fields, integers all."""
    for number, entry in enumerate(entries, 1):
        for name in fields:
            if not isinstance(entry, dict) or not isinstance(entry.get(name), int):
                raise HqsamError(f"{path}: {what} {number} has no {name}; mend it, or fetch the file again")


def _is_box(value: Any) -> bool:
    """Whether a value from a file is four finite numbers."""
    return isinstance(value, list) and len(value) == 4 and None not in map(number_or_none, value)


def _file_name(image: dict[str, Any]) -> str:
    """The path of an image under the folder of images; LVIS gives a COCO address instead of a name."""
    name = image.get("file_name")
    if name is None:
        name = "/".join(str(image.get("coco_url", "")).split("/")[-2:])
    if not name:
        raise HqsamError(f"the data set gives image {image['id']} no file_name; mend its JSON")
    if leaves_folder(str(name)):
        raise HqsamError(f"the data set names an image outside its folder, {name!r}; mend its JSON")
    return str(name)


def _detected(path: Path, document: dict[str, Any], class_agnostic: bool) -> dict[int, list[dict[str, Any]]]:
    """Boxes of a COCO results list, or of a COCO document with annotations, by image."""
    content = _json(path)
    found = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(found, list) or not all(isinstance(item, dict) and "bbox" in item for item in found):
        raise HqsamError(f"{path}: holds no list of results with a bbox; give a detector's COCO results")
    known = {image["id"] for image in document["images"]}
    strange = {item.get("image_id") for item in found} - known
    if strange:
        raise HqsamError(
            f"{path}: {len(strange)} of its image ids are not of this data set (first: {min(strange, key=str)}); "
            "give detections made on the same images"
        )
    categories = {category["id"] for category in document["categories"]}
    boxes: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for number, item in enumerate(found, 1):
        if not _is_box(item["bbox"]) or number_or_none(item.get("score")) is None:
            raise HqsamError(f"{path}: result {number} needs a bbox of four numbers and a score")
        if not class_agnostic and item.get("category_id") not in categories:
            raise HqsamError(
                f"{path}: result {number} has the category_id {item.get('category_id')}, which the data set does not "
                "know; give detections with its categories"
            )
        # Where classes do not count, any known one does.
        boxes[item["image_id"]].append({**item, "category_id": min(categories, default=1)} if class_agnostic else item)
    return boxes


def _frames_as_images(document: Any) -> dict[str, Any]:
    """A YouTube-VIS document with every frame as an image of its own; other documents as they are."""
    if not isinstance(document, dict):
        return {}
    if "videos" not in document:
        return document
    try:
        return _frames(document)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise HqsamError(f"the data set is no YouTube-VIS JSON ({type(error).__name__}: {error}); mend it") from None


def _frames(document: dict[str, Any]) -> dict[str, Any]:
    """Frames of videos as images, and each frame of a track as an annotation."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    first: dict[int, int] = {}
    for video in document["videos"]:
        first[video["id"]] = len(images) + 1
        for name in video["file_names"]:
            size = {"width": video["width"], "height": video["height"]}
            images.append({"id": len(images) + 1, "file_name": name, **size})
    for track in document["annotations"]:
        for frame, (shape, box) in enumerate(zip(track["segmentations"], track["bboxes"], strict=True)):
            if shape is None or box is None:
                continue
            area = (track.get("areas") or [None] * (frame + 1))[frame]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": first[track["video_id"]] + frame,
                    "category_id": track["category_id"],
                    "iscrowd": track.get("iscrowd", 0),
                    "segmentation": shape,
                    "bbox": box,
                    "area": box[2] * box[3] if area is None else area,
                }
            )
    return {"images": images, "annotations": annotations, "categories": document["categories"]}


class InstanceScorer:
    """Results, and with ground-truth boxes also IoUs, of the images of an instance set.

    Args:
        from_gt: the boxes are the ground truth's, so each mask has its own gt.
    """

    def __init__(self, evaluator: Evaluator, *, from_gt: bool, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self.evaluator = evaluator
        self.from_gt = from_gt
        self.max_pixels = max_pixels

    def loaded(self, image: GTImage) -> np.ndarray:
        """The pixels of an image; COCO's boxes and masks are of the image as it is stored."""
        return read_image(str(image.path), exif="ignore", max_pixels=self.max_pixels)

    def record(self, image: GTImage, pixels: np.ndarray) -> Record:
        """`results`, by mask output, of COCO's form; `scores`, likewise, `METRICS` of each object by name."""
        outputs = self.evaluator.outputs
        results: dict[str, list[dict[str, Any]]] = {output: [] for output in outputs}
        scores: dict[str, list[dict[str, float]]] = {output: [] for output in outputs}
        if image.boxes:
            height, width = pixels.shape[:2]
            if image.size not in (None, (width, height)):
                raise ImageError(f"{image.path}: is {width}x{height}, in the data set {image.size}; fetch it again")
            gts = [_gt_pixels(image, box, width, height) for box in image.boxes] if self.from_gt else None
            prompts = [Prompt(n, box=_corners(box["bbox"])) for n, box in enumerate(image.boxes)]
            answers = self.evaluator.masks(self.evaluator.prepare(pixels), prompts)
            for output, (masks, estimates) in answers.items():
                for n, (box, mask, estimate) in enumerate(zip(image.boxes, masks, estimates, strict=True)):
                    results[output].append(
                        {
                            "image_id": image.image_id,
                            "category_id": box["category_id"],
                            "segmentation": encode_crop(MaskCrop(mask, 0, 0, width, height)),
                            "score": float(box.get("score", 1.0)) * estimate,
                        }
                    )
                    if gts is not None:
                        scores[output].append(score(mask, gts[n]))
        return {"image_id": image.image_id, "results": results, "scores": scores}


def _gt_pixels(image: GTImage, annotation: dict[str, Any], width: int, height: int) -> np.ndarray:
    try:
        return decode_segmentation(annotation["segmentation"], width, height)
    except ValueError as error:
        raise ImageError(f"{image.path}: the mask of annotation {annotation.get('id')} {error}") from None


def _corners(box: Sequence[float]) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x, y, x + width, y + height


def precision_figures(whole: InstanceSet, records: Sequence[Record], output: str) -> dict[str, float]:
    """AP of masks (and by size), and of boundaries at 2 and at 1 percent of the diagonal, in percent.

    Only images that were scored count, so that a part of a data set can be measured.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    scored = [record for record in records if record["error"] is None]
    ids = {record["image_id"] for record in scored}
    gt = COCO()
    gt.dataset = {
        **whole.document,
        "images": [image for image in whole.document["images"] if image["id"] in ids],
        "annotations": [_countable(a) for a in whole.document["annotations"] if a["image_id"] in ids],
    }
    gt.createIndex()
    results = [{**result} for record in scored for result in record["results"][output]]  # the library adds to them
    if not results:
        return {name: 0.0 for name in ("AP", "AP_S", "AP_M", "AP_L", "AP_B", "AP_B strict")}
    found = gt.loadRes(results)
    figures: dict[str, float] = {}
    for kind, name, ratio in (
        ("segm", "AP", 0.02),
        ("boundary", "AP_B", 0.02),
        ("boundary", "AP_B strict", STRICT_RATIO),
    ):
        lvis = whole.dataset.lvis
        evaluation = COCOeval_faster(
            gt, found, iouType=kind, lvis_style=lvis, print_function=_silent, boundary_dilation_ratio=ratio
        )
        evaluation.params.maxDets = [LVIS_DETECTIONS] if lvis else [1, 10, COCO_DETECTIONS]
        evaluation.params.useCats = int(not whole.dataset.class_agnostic)
        evaluation.evaluate()
        evaluation.accumulate()
        labels = evaluation.params.areaRngLbl
        sizes = {"": "all", "_S": "small", "_M": "medium", "_L": "large"} if kind == "segm" else {"": "all"}
        for ending, label in sizes.items():
            precision = evaluation.eval["precision"][:, :, :, labels.index(label), -1]
            counted = precision[precision > -1]
            figures[f"{name}{ending}"] = 100 * float(counted.mean()) if counted.size else float("nan")
    return figures


def _countable(annotation: dict[str, Any]) -> dict[str, Any]:
    """An annotation with what COCO's evaluation takes for granted."""
    return {"iscrowd": 0, "area": annotation["bbox"][2] * annotation["bbox"][3], **annotation}


def _silent(*_: object) -> None:
    """Where the library would print."""
