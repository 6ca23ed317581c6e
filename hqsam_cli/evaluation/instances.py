"""Many objects an image: COCO, LVIS, UVO, YouTube-VIS frame by frame, and any COCO-style JSON.

Prompts are boxes, of the ground truth or of a detector; scores of results are the box's times SAM's estimate of the IoU
(HQ-SAM, supplement).
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..configs import DEFAULT_MAX_PIXELS, Exif
from ..data.pairs import read_fitting
from ..data.sets import Dataset
from ..errors import HqsamError, ImageError
from ..formats.coco_file import read_whole
from ..formats.segmentation import decode_segmentation
from ..formats.values import Identifier, identifier, number_or_none, read_numbers
from ..io.copies import LocalCopy
from ..io.images import read_header, read_image
from ..io.names import is_absolute, leaves_folder, plain_name, tails
from ..records import MaskCrop, Prompt
from .metrics import score
from .numbering import numbered_document
from .pictures import Comparison
from .protocols import Evaluator
from .runner import Record


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
    document = numbered_document(dataset.gt, _frames_as_images(read_whole(LocalCopy(Path(dataset.gt)))))
    gts: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for annotation in document["annotations"]:
        gts[annotation["image_id"]].append(annotation)
    boxes = gts if detections is None else _detected(detections, document, dataset.class_agnostic)
    result = InstanceSet(dataset, document, [], document.pop("lost"))
    seen: Counter[str] = Counter()
    root = Path(dataset.images)
    for image in document["images"]:
        own = boxes.get(image["id"], [])
        usable = [box for box in own if not box.get("iscrowd") and box["bbox"][2] > 0 and box["bbox"][3] > 0]
        flat = sum(1 for box in own if not box.get("iscrowd")) - len(usable)
        if flat:
            result.problems.append(f"{image['file_name']}: {flat} boxes without an area; left out")
        path = _path_below(root, image["file_name"])
        size = (image["width"], image["height"]) if image["width"] else None
        if size is None:  # COCO's evaluation asks for it
            header = read_header(str(path))
            image["width"], image["height"] = header.size("ignore") if header else (0, 0)
        # Of two entries of one file each has results of its own.
        seen[image["file_name"]] += 1
        name = image["file_name"] + (f" ({seen[image['file_name']]})" if seen[image["file_name"]] > 1 else "")
        result.images.append(GTImage(name, image["id"], path, size, gts.get(image["id"], []), usable))
    return result


def _path_below(root: Path, name: str) -> Path:
    """Where an image lies below the folder of images, however its name is written.

    Raises:
        HqsamError: the name leads elsewhere.
    """
    inside = os.path.join(os.path.abspath(root), "")
    plain = plain_name(name)
    # A name that leads out of the folder is no image in it, however it ends.
    for written in (name, plain, *(() if leaves_folder(name) else tails(plain))):
        path: Path = root / written
        if os.path.abspath(path).startswith(inside) and path.exists():
            return path
    if leaves_folder(name) or is_absolute(name):
        raise HqsamError(f"the data set names an image outside its folder, {name!r}", remedy="mend its JSON")
    return root / name


def _detected(path: Path, document: dict[str, Any], class_agnostic: bool) -> dict[int, list[dict[str, Any]]]:
    """Boxes of a COCO results list, or of a COCO document with annotations, by image."""
    content = read_whole(LocalCopy(path))
    found = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(found, list) or not all(isinstance(item, dict) and "bbox" in item for item in found):
        raise HqsamError("holds no list of results with a bbox", file=path, remedy="give a detector's COCO results")
    images = {image["given_id"]: image["id"] for image in document["images"]}
    strange = {str(item.get("image_id")) for item in found if identifier(item.get("image_id")) not in images}
    if strange:
        raise HqsamError(
            f"{len(strange)} of its image ids are not of this data set (first: {min(strange)})",
            file=path,
            remedy="give detections made on the same images",
        )
    categories = {category["given_id"]: category["id"] for category in document["categories"]}
    boxes: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for number, item in enumerate(found, 1):
        box, score = read_numbers(item["bbox"], 4), number_or_none(item.get("score"))
        if box is None or score is None:
            raise HqsamError(f"result {number} needs a bbox of four numbers and a score", file=path)
        category = identifier(item.get("category_id"))
        if not class_agnostic and category not in categories:
            raise HqsamError(
                f"result {number} has the category_id {item.get('category_id')}, which the data set does not know",
                file=path,
                remedy="give detections with its categories",
            )
        # Where classes do not count, any known one does.
        own = 1 if class_agnostic else categories[category]
        boxes[images[identifier(item["image_id"])]].append({"bbox": box, "score": score, "category_id": own})
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
        raise HqsamError(
            f"the data set is no YouTube-VIS JSON ({type(error).__name__}: {error})", remedy="mend it"
        ) from None


def _frames(document: dict[str, Any]) -> dict[str, Any]:
    """Frames of videos as images, and each frame of a track as an annotation."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    first: dict[Identifier | None, int] = {}
    for video in document["videos"]:
        first[identifier(video["id"])] = len(images) + 1
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
                    "image_id": first[identifier(track["video_id"])] + frame,
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
        exif: what decides where a turned photo fits the size of the data set both ways.
    """

    def __init__(
        self, evaluator: Evaluator, *, from_gt: bool, exif: Exif = "apply", max_pixels: int = DEFAULT_MAX_PIXELS
    ) -> None:
        self.evaluator = evaluator
        self.exif: Exif = exif
        self.from_gt = from_gt
        self.max_pixels = max_pixels

    def loaded(self, image: GTImage) -> np.ndarray:
        """The pixels of an image, turned so that they fit the size that the data set gives."""
        if image.size is None:
            return read_image(str(image.path), exif=self.exif, max_pixels=self.max_pixels)
        return read_fitting(image.path, image.size[::-1], self.exif, self.max_pixels)

    def record(self, image: GTImage, pixels: np.ndarray) -> Record:
        """`results`, by mask output, of COCO's form; `scores`, likewise, `METRICS` of each object by name."""
        outputs = self.evaluator.outputs
        results: dict[str, list[dict[str, Any]]] = {output: [] for output in outputs}
        scores: dict[str, list[dict[str, float]]] = {output: [] for output in outputs}
        if image.boxes:
            height, width = pixels.shape[:2]
            if image.size not in (None, (width, height)):
                raise ImageError(
                    f"is {width}x{height}, in the data set {image.size}", file=image.path, remedy="fetch it again"
                )
            gts = [_gt_pixels(image, box, width, height) for box in image.boxes] if self.from_gt else None
            prompts = [Prompt(n, box=_corners(box["bbox"])) for n, box in enumerate(image.boxes)]
            answers = self.evaluator.masks(self.evaluator.prepare(pixels), prompts)
            for output, (masks, estimates) in answers.items():
                for n, (box, mask, estimate) in enumerate(zip(image.boxes, masks, estimates, strict=True)):
                    results[output].append(
                        {
                            "image_id": image.image_id,
                            "category_id": box["category_id"],
                            "segmentation": MaskCrop.whole(mask).rle,
                            "score": float(box.get("score", 1.0)) * estimate,
                        }
                    )
                    if gts is not None:
                        scores[output].append(score(mask, gts[n]))
        return {"image_id": image.image_id, "results": results, "scores": scores}

    def comparison(self, image: GTImage) -> Comparison:
        """An image with its objects beside their masks."""
        pixels = self.loaded(image)
        height, width = pixels.shape[:2]
        prompts = [Prompt(n, box=_corners(box["bbox"])) for n, box in enumerate(image.boxes)]
        answers = self.evaluator.masks(self.evaluator.prepare(pixels), prompts)
        gts = [_gt_pixels(image, gt, width, height) for gt in image.gts if not gt.get("iscrowd")]
        return Comparison(pixels, gts, {output: masks for output, (masks, _) in answers.items()})


def _gt_pixels(image: GTImage, annotation: dict[str, Any], width: int, height: int) -> np.ndarray:
    try:
        return decode_segmentation(annotation["segmentation"], width, height)
    except ValueError as error:
        raise ImageError(f"the mask of annotation {annotation['given_id']} {error}", file=image.path) from None


def _corners(box: Sequence[float]) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x, y, x + width, y + height
