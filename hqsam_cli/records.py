"""Records passed between packages.

A `RawPrompt` is read from a file; fitted to the decoded image, it becomes a `Prompt`, the input of a model. Detectors
output `Prompt`s directly. An `Instance` is the output of a model.
All coordinates are pixels of the decoded image (after the EXIF policy), x to the right and y down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypedDict, cast

import numpy as np

from .errors import HqsamError

# COCO RLE, compressed or a list of counts, or polygons, as read from a file, not validated.
Segmentation: TypeAlias = Mapping[str, Any] | list[Any]
Box: TypeAlias = tuple[float, float, float, float]
DECIMALS = 6  # of scores in results, so that equal runs are byte-identical
MULTIMASKS = 3


class RLE(TypedDict):
    """COCO compressed run-length encoding of a mask; `size` is [height, width]."""

    size: list[int]
    counts: str


class Category(TypedDict):
    """A COCO category; may have more keys, such as `supercategory`."""

    id: int
    name: str


class GeoKeys(TypedDict, total=False):
    """Where the pixels of a raster are on the ground; empty if unknown.

    `crs` is a code such as EPSG:32633, or WKT. `transform` is a, b, c, d, e, f, from pixels to its coordinates:
    x = a column + b row + c, y = d column + e row + f, from the upper left corner of the image.
    """

    crs: str
    transform: list[float]


class CocoImage(GeoKeys, total=False):
    """A COCO image; a failed image may have an `error` message."""

    id: int
    file_name: str
    width: int
    height: int
    error: str


def geo_keys(entry: Mapping[str, Any]) -> GeoKeys:
    """The georeference in the entry of an image."""
    return cast(GeoKeys, {key: entry[key] for key in GeoKeys.__annotations__ if key in entry})


class SamAnnotation(TypedDict):
    """The mask of plain SAM for a prompt."""

    segmentation: RLE
    predicted_iou: float


class Polygons(TypedDict):
    """A mask as polygons; see `formats.polygons`.

    `parts` are x, y, x, y, … of each part, in pixels from the upper left corner of the image; `ious` the IoU with the
    mask as the readers of each format rasterize them; `dropped` the number of parts and holes skipped as too small.
    """

    parts: list[list[float]]
    ious: dict[str, float]
    dropped: int


class Annotation(TypedDict, total=False):
    """A mask or a box in COCO form; see `Instance.to_coco`. Annotations of a file may lack keys."""

    id: int
    image_id: int
    category_id: int
    category: str | None
    segmentation: RLE
    area: float
    bbox: list[float]
    iscrowd: int
    score: float | None
    predicted_iou: float
    prompt_box: list[float]
    prompt_id: int
    mask_index: int
    sam: SamAnnotation
    polygons: Polygons


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an image failed.

    Attributes:
        path: path of the image, as given.
        reason, detail: the problem, equal for all images with the same problem, and its details.
        remedy: suggested fix, or "".
    """

    path: str
    reason: str
    detail: str = ""
    remedy: str = ""

    @classmethod
    def of(cls, error: HqsamError, path: str) -> Failure:
        """Create from an error about an image, or about a file of it."""
        return cls(str(path if error.file is None else error.file), error.reason, error.detail, error.remedy)

    def __str__(self) -> str:
        """One line."""
        text = f"{self.reason} ({self.detail})" if self.detail else self.reason
        about = f"{self.path}: {text}" if self.path else text
        return f"{about}; {self.remedy}" if self.remedy else about


class Origin(NamedTuple):
    """What the results of an image were computed from, for the journal.

    Attributes:
        fingerprint: of its pixels and prompts.
        lost: number of its prompts, or parts of them, that did not fit it.
        seconds: per stage.
        files: digests of the written files, see `output_folder.digest_of`; None in older journals.
    """

    fingerprint: str = ""
    lost: int = 0
    seconds: Mapping[str, float] | None = None
    files: str | None = None


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """The results of an image: a line of NDJSON or of the journal.

    Attributes:
        file_name: relative, with `/`.
        size: (width, height) in pixels, None if it could not be read.
        failure: why there are no annotations.
        path: absolute path or URL of the image; like `origin`, not written to NDJSON.
        geo: its georeference, if it is a GeoTIFF.
    """

    file_name: str
    image_id: int
    size: tuple[int, int] | None = None
    annotations: list[Annotation] = field(default_factory=list)
    failure: Failure | None = None
    path: str = ""
    origin: Origin = field(default_factory=Origin)
    geo: GeoKeys = field(default_factory=GeoKeys)

    def to_dict(self) -> dict[str, Any]:
        """The record as a line of NDJSON."""
        width, height = self.size or (None, None)
        return {
            "file_name": self.file_name,
            "image_id": self.image_id,
            "width": width,
            "height": height,
            **self.geo,
            "annotations": self.annotations,
            "error": None if self.failure is None else str(self.failure),
        }

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> ImageRecord:
        """Create from a line of the journal; see `batch.journal`."""
        size = (line["width"], line["height"]) if line["width"] else None
        failure = None if line["error"] is None else Failure(*line.get("failure", ("", line["error"])))
        annotations = cast(list[Annotation], line["annotations"])
        origin = Origin(line["fingerprint"], line["lost"], line.get("seconds"), line.get("files"))
        path = line.get("path", "")
        return cls(line["file_name"], line["image_id"], size, annotations, failure, path, origin, geo_keys(line))

    def to_coco(self) -> CocoImage:
        """The COCO image."""
        image: CocoImage = {"id": self.image_id, "file_name": self.file_name}
        if self.size is not None:
            image["width"], image["height"] = self.size
        image = {**image, **self.geo}
        return image if self.failure is None else {**image, "error": str(self.failure)}


@dataclass(frozen=True, slots=True)
class NormalizedPolygon:
    """A polygon x, y, x, y, … in normalized coordinates, 0 to 1."""

    xyn: tuple[float, ...]


class MappedObject(NamedTuple):
    """The pixels of a value in an id map.

    Attributes:
        path: of the image file.
        listed: whether another file lists the objects of the map, so that it may have only this one.
    """

    path: Path
    id: int
    listed: bool = False


@dataclass(frozen=True, slots=True)
class RawPrompt:
    """The prompt of one object in a file; at least one of `box`, `xyxyn`, `input_box`, `points` and `mask` is set.

    Attributes:
        annotation_id: id of the result, unique within a run.
        category_id: COCO category of the result.
        box: (x0, y0, x1, y1) in pixels.
        points: float array (n, 3) of x, y, label; label 1 is foreground, 0 background.
        mask: coarse mask to refine: COCO segmentation, normalized polygon, path of a mask file, or object of an id map.
        xyxyn: (x0, y0, x1, y1) in normalized coordinates.
        input_box: (x0, y0, x1, y1) in pixels of the size to which Qwen2.5-VL resizes the image.
        score: the detector's confidence, or None.
    """

    annotation_id: int
    category_id: int = 1
    box: Box | None = None
    points: np.ndarray | None = None
    mask: Segmentation | NormalizedPolygon | Path | MappedObject | None = None
    xyxyn: Box | None = None
    input_box: Box | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt of one object in a decoded image; at least one of `box`, `points` and `mask` is set.

    Attributes:
        annotation_id, category_id, score: as in `RawPrompt`.
        box: (x0, y0, x1, y1) within the image.
        points: float array (n, 3) of x, y, label, within the image.
        mask: coarse mask to refine, bool (H, W).
    """

    annotation_id: int = 1
    category_id: int = 1
    box: Box | None = None
    points: np.ndarray | None = None
    mask: np.ndarray | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class ImagePrompts:
    """The prompts of one image in files.

    Attributes:
        file_name: path of the image relative to the folder it was found in, with `/`.
        image_id: COCO image id.
        size: (width, height) in the prompt file, or None; prompts refer to that size.
        prompts: in input order.
        dropped: number of prompts removed by a threshold.
        mentioned: whether a prompt file lists the objects of the image, possibly none; None without such a file.
    """

    file_name: str
    image_id: int
    size: tuple[int, int] | None = None
    prompts: list[RawPrompt] = field(default_factory=list)
    dropped: int = 0
    mentioned: bool | None = None


@dataclass(frozen=True)  # without slots, which a cached property needs
class MaskCrop:
    """A binary mask of an image, stored as a crop around its foreground.

    Attributes:
        bits: bool array (h, w); pixels outside it are background.
        x, y: position of `bits[0, 0]` in the image.
        width, height: size of the image.
    """

    bits: np.ndarray
    x: int
    y: int
    width: int
    height: int

    @classmethod
    def whole(cls, bits: np.ndarray) -> MaskCrop:
        """The mask of a bool array (height, width) at the size of the image."""
        height, width = bits.shape
        return cls(bits, 0, 0, width, height)

    def tight_box(self) -> tuple[int, int, int, int]:
        """x, y, width and height of the foreground in pixels of the image; zeros if it is empty."""
        rows, columns = np.flatnonzero(self.bits.any(axis=1)), np.flatnonzero(self.bits.any(axis=0))
        if not len(rows):
            return 0, 0, 0, 0
        top, left = int(rows[0]), int(columns[0])
        return self.x + left, self.y + top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1

    def full(self) -> np.ndarray:
        """The mask at the size of the image, bool (height, width)."""
        canvas = np.zeros((self.height, self.width), dtype=bool)
        h, w = self.bits.shape
        canvas[self.y : self.y + h, self.x : self.x + w] = self.bits
        return canvas

    @cached_property
    def rle(self) -> RLE:
        """COCO compressed RLE, byte-identical to `pycocotools.mask.encode` of the full mask; cached.

        Only the crop is read: runs are found in it with a row of zeros between columns, moved to their positions in
        the full mask, and joined where a run continues from the bottom of a column to the top of the next.
        """
        import cv2
        from pycocotools import mask as coco_mask

        size, counts = [self.height, self.width], [self.height * self.width]
        if self.bits.any():
            height, width = self.bits.shape
            padded = np.zeros((width, height + 2), np.uint8)
            padded[:, 1:-1] = cv2.transpose(np.ascontiguousarray(self.bits).view(np.uint8))  # faster than NumPy's
            flat = padded.ravel()
            column, row = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]), height + 2)
            positions = (column + self.x) * self.height + row + self.y
            starts, ends = positions[::2], positions[1::2]
            apart = starts[1:] != ends[:-1]
            starts, ends = starts[np.r_[True, apart]], ends[np.r_[apart, True]]
            # In column-major order, background first.
            counts = np.diff(np.stack([starts, ends], axis=1).ravel(), prepend=0, append=counts[0]).tolist()
            counts = counts if counts[-1] else counts[:-1]
        rle = coco_mask.frPyObjects({"size": size, "counts": counts}, *size)
        return {"size": size, "counts": rle["counts"].decode("ascii")}


@dataclass(frozen=True, slots=True)
class ProbabilityCrop:
    """Foreground probability map of an image, stored as a crop; zero outside.

    Attributes:
        values: uint8 (h, w), 255 times the sigmoid of the logits.
        x, y: position of `values[0, 0]` in the image.
    """

    values: np.ndarray
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One predicted mask.

    Attributes:
        prompt, mask: its prompt, and the predicted mask.
        predicted_iou: the model's estimate of the mask's IoU; not clamped.
        mask_index: 0, or 0 to 2 among the three masks of multimask output.
        more: additional keys of its annotation.
        probabilities: the probability map, if the predictor outputs it.
        sam: plain SAM's mask of the same prompt, if the predictor outputs it.
        objectness: probability that the mask is one object, if the predictor outputs it.
    """

    prompt: Prompt
    mask: MaskCrop
    predicted_iou: float
    mask_index: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)
    probabilities: ProbabilityCrop | None = None
    sam: Instance | None = None
    objectness: float | None = None

    @property
    def score(self) -> float:
        """The objectness; without it, the detector's confidence times the predicted IoU, clamped to 0 to 1."""
        if self.objectness is not None:
            return self.objectness
        detector = 1.0 if self.prompt.score is None else self.prompt.score
        return min(max(detector * self.predicted_iou, 0.0), 1.0)

    def to_coco(self, image_id: int, *, multimask: bool = False) -> Annotation:
        """The COCO annotation, with `prompt_box`, the prompt's box, and `sam`, plain SAM's mask, if there are any.

        In multimask output, the three masks of prompt n have ids 3n - 2 to 3n, `prompt_id` and `mask_index`.
        """
        prompt = self.prompt
        annotation: Annotation = {
            "id": MULTIMASKS * (prompt.annotation_id - 1) + self.mask_index + 1 if multimask else prompt.annotation_id,
            "image_id": image_id,
            "category_id": prompt.category_id,
            "segmentation": self.mask.rle,
            "area": int(self.mask.bits.sum()),
            "bbox": [float(n) for n in self.mask.tight_box()],
            "iscrowd": 0,
            "score": round(self.score, DECIMALS),
            "predicted_iou": round(self.predicted_iou, DECIMALS),
        }
        if prompt.box is not None:
            x0, y0, x1, y1 = prompt.box
            annotation["prompt_box"] = [round(float(n), 2) for n in (x0, y0, x1 - x0, y1 - y0)]
        if (sam := self.sam) is not None:
            annotation["sam"] = {"segmentation": sam.mask.rle, "predicted_iou": round(sam.predicted_iou, DECIMALS)}
        if multimask:
            annotation["prompt_id"], annotation["mask_index"] = prompt.annotation_id, self.mask_index
        return cast(Annotation, {**annotation, **self.more})
