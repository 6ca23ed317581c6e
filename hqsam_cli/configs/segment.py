"""Options of `hqsam segment`."""

from __future__ import annotations

from dataclasses import dataclass

from .detect import LIKELY_OBJECT, MIN_OBJECTNESS, DetectorConfig
from .formats import COMMON_PROMPTS, EITHER_FORMATS, MASK_FORMATS, POLYGON_FORMATS
from .names import (
    DEFAULT_MODEL,
    DEFAULT_TOLERANCE,
    MODEL_VARIABLE,
    BoxFormat,
    Crowds,
    Engine,
    MaskOutput,
    SegmentationKind,
    Windows,
)
from .option import CHOICES, option, part
from .run import ADVANCED, PROMPTS, RESULTS, SPEED, WINDOWS, RunConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptConfig:
    """Files with prompts."""

    boxes: str | None = option(
        None,
        f"Box prompts: a file, or a folder of label files: {', '.join(COMMON_PROMPTS)} (file,x0,y0,x1,y1,label,score) "
        "and others, which docs/formats lists; - for stdin.",
        PROMPTS,
        metavar="PATH",
    )
    box: tuple[str, ...] = option(
        (), "Box prompt of a single image, corners in pixels; repeatable, one object per box.", PROMPTS,
        metavar="X0,Y0,X1,Y1",
    )  # fmt: skip
    point: tuple[str, ...] = option(
        (),
        "Point prompt of a single image, in pixels; label 1 foreground (default), 0 background; repeatable. All points "
        "prompt one object, together with --box if given.",
        PROMPTS,
        metavar="X,Y[,LABEL]",
    )
    box_format: BoxFormat | None = option(
        None,
        "Box coordinates: xywh or xyxy in pixels, xyxyn or cxcywhn normalized to 0-1, xyxy1000 or yxyx1000 to 0-1000; "
        "qwen2.5 for the resized input of Qwen2.5-VL; default by file format (COCO: xywh, YOLO: cxcywhn).",
        PROMPTS,
    )
    crowds: Crowds | None = option(
        None,
        "Annotations with iscrowd 1: keep them as objects, or drop them; by default they are dropped, except RLEs that "
        "are nearly all of a class, or several of a class in one image.",
        ADVANCED,
    )
    images_json: str | None = option(
        None, "COCO JSON with the images of a COCO results list.", ADVANCED, metavar="FILE"
    )
    points: str | None = option(
        None,
        "Point prompts: annotations with points [\\[x, y, label], …], label 1 foreground, 0 background; joined to "
        "boxes by annotation id.",
        PROMPTS,
        metavar="FILE",
    )
    coarse_masks: str | None = option(
        None,
        "Mask prompts: JSON with segmentations, or a folder of PNG masks or polygon labels; joined to boxes by "
        "annotation id.",
        PROMPTS,
        metavar="PATH",
    )
    objects: bool = option(
        False,
        f"Without prompts: only masks that are likely to be one object, as with --score-threshold {LIKELY_OBJECT}.",
        PROMPTS,
    )
    salient: bool = option(False, "Segment only the most salient object, one mask per image, without prompts.", PROMPTS)
    strict: bool = option(False, "Exit with code 3 if any prompt is skipped.", ADVANCED)


@dataclass(frozen=True, slots=True, kw_only=True)
class EverythingConfig:
    """Parameters of everything mode, with the names and defaults of SAM's automatic mask generator.

    SAM has no `coarse_points_per_side`.
    """

    points_per_side: int = option(
        32, "Number of points per side of the image.", ADVANCED, metavar="N", min=1, compared=True
    )
    coarse_points_per_side: int | None = option(
        None,
        "First prompt a grid of N points per side, such as 16, and skip all points that a mask already covers: about "
        "twice as fast, with nearly the same objects.",
        PROMPTS,
        metavar="N",
        min=1,
        compared=True,
    )
    pred_iou_thresh: float = option(0.88, "Minimum predicted IoU of a mask.", ADVANCED, metavar="X", compared=True)
    stability_score_thresh: float = option(
        0.95, "Minimum stability score of a mask.", ADVANCED, metavar="X", min=0, max=1, compared=True
    )
    stability_score_offset: float = option(
        1.0,
        "Shift of the mask threshold, in logits, for the stability score.",
        ADVANCED,
        metavar="X",
        min=0,
        compared=True,
    )
    box_nms_thresh: float = option(
        0.7,
        "NMS IoU threshold within a crop, on the boxes of masks.",
        ADVANCED,
        metavar="X",
        min=0,
        max=1,
        compared=True,
    )
    crop_n_layers: int = option(
        0,
        "Number of crop layers; layer n has 2^n x 2^n image crops.",
        ADVANCED,
        metavar="N",
        min=0,
        max=4,
        compared=True,
    )
    crop_nms_thresh: float = option(
        0.7, "NMS IoU threshold between crops.", ADVANCED, metavar="X", min=0, max=1, compared=True
    )
    crop_overlap_ratio: float = option(
        512 / 1500,
        "Overlap of crops in the first layer, as a fraction of the shorter image side.",
        ADVANCED,
        metavar="X",
        min=0,
        max=1,
        compared=True,
    )
    crop_n_points_downscale_factor: int = option(
        1,
        "Downscale factor of points per side, per crop layer.",
        ADVANCED,
        metavar="N",
        min=1,
        compared=True,
    )
    min_mask_region_area: int = option(
        0,
        "Minimum area of disconnected regions and holes; smaller ones are removed.",
        ADVANCED,
        metavar="PIXELS",
        min=0,
        compared=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsConfig:
    """How objects are found without prompts: point grids, then a detector for objects that they miss.

    Attributes:
        grid_points: points per side of the grids, in order; a later grid skips points covered by a mask.
        grid_iou: minimum predicted IoU of masks from points.
        grid_stability: minimum stability score of masks from points.
        min_score: minimum objectness of a mask, without `score_threshold`.
        duplicate_iou: NMS IoU threshold of masks; those from points come first, by descending score.
        part: a mask is dropped if more than this fraction of it lies in another mask
        part_size: and its area is less than this fraction of the other mask's.
    """

    grid_points: tuple[int, ...] = (4, 8)
    grid_iou: float = 0.85
    grid_stability: float = 0.75
    min_score: float = MIN_OBJECTNESS
    duplicate_iou: float = 0.7
    part: float = 0.8
    part_size: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanConfig:
    """Postprocessing of masks."""

    smooth: bool = option(False, "Smooth mask outlines; thin structures are kept.", ADVANCED, compared=True)
    fill_holes: str | None = option(
        None, "Fill holes smaller than N pixels, or P% of the mask area.", RESULTS, metavar="N|P%", compared=True
    )
    min_region: str = option(
        "0.1%",
        "Remove disconnected regions smaller than N pixels, or P% of the mask area; the largest is kept.",
        RESULTS,
        metavar="N|P%",
        compared=True,
    )
    raw: bool = option(False, "Keep masks as predicted, without removing small regions.", RESULTS, compared=True)
    largest_part: bool = option(False, "Keep only the largest connected region of a mask.", ADVANCED, compared=True)
    exclusive: bool = option(
        False,
        "Non-overlapping masks: each pixel belongs to the mask with the highest score, on ties to the smallest.",
        RESULTS,
        compared=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoutConfig:
    """Cut-outs and crops."""

    soft: bool = option(False, "Soft alpha in cut-outs: the mask probability.", RESULTS, compared=True)
    background: str | None = option(
        None,
        "Background color of cut-outs and crops, such as white or #f0f0f0; by default transparent in cut-outs, the "
        "photo in crops.",
        RESULTS,
        metavar="COLOR",
        compared=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonConfig:
    """Conversion of masks to polygons."""

    segmentation: SegmentationKind = option(
        "rle",
        "Encoding of masks in COCO and NDJSON: RLE, polygons, or both; docs/formats/readers.md lists the programs that "
        "read polygons or RLE inexactly.",
        RESULTS,
        compared=True,
    )
    tolerance: float | None = option(
        None,
        f"Maximum distance between polygon and mask outline; {DEFAULT_TOLERANCE} by default.",
        ADVANCED,
        metavar="PIXELS",
        min=0,
        compared=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentConfig(RunConfig):
    """Options of `hqsam segment`, except its inputs and its output."""

    prompts: PromptConfig = part(PromptConfig)
    everything: bool = option(False, "Segment everything: masks from a grid of points, without prompts.", PROMPTS)
    generator: EverythingConfig = part(EverythingConfig)
    detection: DetectorConfig = part(DetectorConfig)
    objects: ObjectsConfig = part(ObjectsConfig)
    format: tuple[str, ...] = option(
        ("coco", "png"),
        "Output format; repeatable, or separated by commas; coco and png by default.",
        RESULTS,
        flags=("--format", "-f"),
        metavar="|".join(MASK_FORMATS),
        complete=CHOICES,
    )
    overlay: bool = option(False, "Also write images with their masks drawn: overlays/<image>.jpg.", RESULTS)
    thumbnail: bool = option(False, "Also write thumbnails for hqsam report: thumbnails/<image>.jpg.", ADVANCED)
    polygons: PolygonConfig = part(PolygonConfig)
    cleaning: CleanConfig = part(CleanConfig)
    cutout: CutoutConfig = part(CutoutConfig)
    multimask: bool = option(False, "Write three masks per prompt, each with a predicted IoU.", ADVANCED, compared=True)
    compare_sam: bool = option(False, "Also save the mask of plain SAM for each prompt.", RESULTS, compared=True)
    model: str = option(
        DEFAULT_MODEL,
        "Model: lite, vit_tiny, vit_b, vit_l, vit_h, hq2_l, a checkpoint of HQ-SAM, SAM, MobileSAM or SAM 2, or a "
        "folder of hqsam export.",
        SPEED,
        metavar="NAME|PATH",
        envvar=MODEL_VARIABLE,
        complete="models",
    )
    mask_output: MaskOutput | None = option(
        None,
        "Mask logits: SAM + HQ (sum), the same with SAM weighted by its stability score (auto), HQ only (hq), or plain "
        "SAM (sam); auto for lite, sum for other models by default.",
        SPEED,
        compared=True,
    )
    windows: Windows = option("auto", WINDOWS, SPEED, compared=True)
    dtype: str = option(
        "auto",
        "Precision; auto is bfloat16 if the device supports it, else float32.",
        ADVANCED,
        metavar="auto|float32|bfloat16|float16",
        complete=CHOICES,
        compared=True,
    )
    # Not compared: it changes results by rounding only, scores by about 1e-6.
    compile: bool = option(
        False, "Compile the image encoder with torch.compile, which takes a minute or more at the start.", ADVANCED
    )
    prompts_per_batch: int | None = option(
        None, "Prompts decoded per batch; 32 by default, 8 on a CPU.", ADVANCED, metavar="N", min=1, compared=True
    )
    devices: str | None = option(
        None, "GPUs of this machine, one process each; instead of --device.", ADVANCED, metavar="all|N,N…"
    )
    shard: str | None = option(
        None, "Process only shard I of N, by image name; hqsam merge joins the shards.", ADVANCED,
        metavar="I/N", compared=True,
    )  # fmt: skip
    engine: Engine = option("local", "Run in this process, or on the actors of a Ray cluster.", ADVANCED)
    address: str | None = option(
        None, "Address of the Ray cluster; by default a local one is started.", ADVANCED, metavar="HOST:PORT"
    )
    actors: int | None = option(
        None, "Number of Ray actors; by default as many as fit in the cluster.", ADVANCED, metavar="N", min=1
    )

    @property
    def formats(self) -> frozenset[str]:
        """All output formats: those of `format`, and overlays and thumbnails."""
        pictures = [name for name in ("overlay", "thumbnail") if getattr(self, name)]
        return frozenset([*self.format, *pictures])

    @property
    def polygon_formats(self) -> frozenset[str]:
        """Output formats whose masks are polygons."""
        with_polygons = self.polygons.segmentation != "rle"
        return self.formats & (POLYGON_FORMATS | EITHER_FORMATS if with_polygons else POLYGON_FORMATS)
