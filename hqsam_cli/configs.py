"""What the results of a run depend on, in one frozen record a command; their values are what a run remembers.

A field is named as the option that sets it, so that whoever finds a run changed can say which option did it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from . import __version__

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

VERSION = "version"  # in an identity

MaskOutput = Literal["sum", "hq", "sam"]
Exif = Literal["apply", "ignore"]
BoxFormat = Literal["xywh", "xyxy", "xyxyn", "cxcywhn"]
SegmentationKind = Literal["rle", "polygon", "both"]

JOURNAL = "journal.ndjson"  # a folder that holds one is the output of a run
JOURNAL_FOLDER = "journal"  # of its objects, where the output is an address
JOURNAL_OBJECT = re.compile(r"\d{9}\.ndjson")
DEFAULT_MAX_PIXELS = 200_000_000  # of an image; a larger one is refused
CONF, IOU, MAX_DET = 0.25, 0.7, 300  # as ultralytics has them, for detectors that ask for nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    """What to ask of a detector.

    Attributes:
        conf: boxes that score less are dropped; None for what the detector asks for.
        iou: of two boxes of a class that overlap by more, the lesser is dropped; None for what the detector asks for.
        classes: names of those to keep; all of them where empty.
        max_det: most boxes an image.
        imgsz: longest side the detector sees, pixels; None for what it was trained at.
        half: compute in float16.
    """

    conf: float | None = None
    iou: float | None = None
    classes: tuple[str, ...] = ()
    max_det: int = MAX_DET
    imgsz: int | None = None
    half: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectConfig:
    """What the boxes of a run depend on, beside the detector and the files it reads.

    Attributes:
        format: of `formats.BOX_WRITERS`.
        save_conf: YOLO labels have the score.
        device, exif, max_pixels: as in `SegmentConfig`.
    """

    format: str = "coco"
    save_conf: bool = False
    device: str = "cpu"
    exif: Exif = "apply"
    max_pixels: int = DEFAULT_MAX_PIXELS


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentConfig:
    """What the masks of a run depend on, beside the files it reads.

    Attributes:
        multimask: three masks a prompt.
        compare_sam: plain SAM's masks too.
        score_threshold, max_boxes: which boxes of a detector are kept.
        format: of `formats.WRITERS`.
        device: `cpu`, `cuda` or `mps`.
        prompts_per_batch: prompts decoded at once: float sums depend on their company.
        exif: `apply` turns photos as EXIF says.
        max_pixels: larger images are refused.
        shard: which part of the images, as `2/8`.
    """

    mask_output: MaskOutput = "sum"
    multimask: bool = False
    compare_sam: bool = False
    score_threshold: float | None = None
    max_boxes: int | None = None
    format: tuple[str, ...] = ("coco", "png")
    device: str = "cpu"
    dtype: str = "float32"
    prompts_per_batch: int = 8
    exif: Exif = "apply"
    max_pixels: int = DEFAULT_MAX_PIXELS
    shard: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanConfig:
    """What is taken out of masks and put into them.

    Attributes:
        smooth: outlines are smoothed; what is thin stays.
        fill_holes: holes of fewer pixels are filled: a number, or with `%` behind it a share of the mask's area.
        min_region: parts of fewer pixels are dropped, but for the largest; a number or a share likewise.
        largest_part: all parts but the largest are dropped.
    """

    smooth: bool = False
    fill_holes: str | None = None
    min_region: str | None = None
    largest_part: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoutConfig:
    """How objects are cut out of their photos.

    Attributes:
        soft: opaque as far as the model is sure, rather than by the mask.
        background: the color around them, as people give it; None for nothing in cut-outs, and the photo in crops.
    """

    soft: bool = False
    background: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonConfig:
    """How masks become polygons.

    Attributes:
        segmentation: what COCO's annotations have: run lengths, polygons, or polygons and the run lengths as `rle`.
        tolerance: how far a polygon may be from the outline of its mask, pixels.
    """

    segmentation: SegmentationKind = "rle"
    tolerance: float = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class EverythingConfig:
    """How everything in an image is found; names and defaults are those of SAM's automatic mask generator.

    Attributes:
        points_per_side: of the grid of points on the image.
        pred_iou_thresh: masks whose predicted IoU is not over it are dropped.
        stability_score_thresh: and those whose stability is under it: the IoU of the masks at logits over plus and over
            minus `stability_score_offset`.
        box_nms_thresh: of two masks whose boxes have a larger IoU, the one with the lower predicted IoU is dropped.
        crop_n_layers: layers of crops that are looked at too; layer n has (2 ** n) ** 2 of them.
        crop_nms_thresh: as `box_nms_thresh`, between crops; the mask of the smaller crop stays.
        crop_overlap_ratio: how far crops overlap, as a share of the image.
        crop_n_points_downscale_factor: the grid of layer n has fewer points a side by this to the power of n.
        min_mask_region_area: parts and holes of fewer pixels are taken out of masks.
    """

    points_per_side: int = 32
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    min_mask_region_area: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsConfig:
    """How the objects of an image are found where nobody says which: by points, and by a detector beside them.

    Attributes:
        grid_points: sides of the grids of points that are asked one after the other, each where no mask is yet.
        grid_iou: masks of points whose predicted IoU is not over it are dropped,
        grid_stability: and those whose stability is under it; see `EverythingConfig`.
        duplicate_iou: of two masks with a larger IoU the later is dropped; those of points come first, surest first.
        part: masks that lie with a larger share in another mask are dropped,
        part_size: if they are smaller than this share of it.
    """

    grid_points: tuple[int, ...] = (4, 8)
    grid_iou: float = 0.85
    grid_stability: float = 0.75
    duplicate_iou: float = 0.7
    part: float = 0.8
    part_size: float = 0.15


def identity(*configs: DataclassInstance | None, **files: str) -> dict[str, str]:
    """What a run remembers: the version of this package, all values of its configs, and the digests of its files.

    Args:
        files: by the parameter that named it, the hash of what was read.
    """
    values: dict[str, Any] = {}
    for config in configs:
        values |= {} if config is None else asdict(config)
    given = {name: value for name, value in values.items() if value is not None and value != ()}
    texts = {name: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for name, v in given.items()}
    return {VERSION: __version__, **texts, **files}


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The parameters by which two identities differ, with the values where both have one."""
    different = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    named = {name: name if name == VERSION else f"`{name}`" for name in different}
    return [f"{named[n]} was {before.get(n, 'not given')}, is {now.get(n, 'not given')}" for n in different]


def digest(*values: object) -> str:
    """A short hash of plain values."""
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()[:16]
