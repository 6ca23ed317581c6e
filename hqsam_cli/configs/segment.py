"""What `hqsam segment` is told."""

from __future__ import annotations

from dataclasses import dataclass

from .detect import DetectorConfig
from .formats import FILE_PROMPTS, FOLDER_PROMPTS, JSON_PROMPTS, MASK_FORMATS
from .names import DEFAULT_MODEL, DEFAULT_TOLERANCE, MODEL_VARIABLE, BoxFormat, Engine, MaskOutput, SegmentationKind
from .option import option, part
from .run import EVERYTHING, PROMPTS, RESULTS, RUN, SPEED, RunConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptConfig:
    """Where prompts come from, unless a detector or a grid of points makes them."""

    boxes: str | None = option(
        None,
        f"Boxes: a file, {', '.join([*JSON_PROMPTS, *FILE_PROMPTS])} (file,x0,y0,x1,y1,label,score); or a folder, "
        f"{', '.join(name for name, _ in FOLDER_PROMPTS.values())}; - reads stdin.",
        PROMPTS,
        metavar="PATH",
    )
    box_format: BoxFormat | None = option(
        None,
        "Box coordinates: xywh (COCO), xyxy (corners), xyxyn and cxcywhn (normalized corners; normalized center and "
        "size). By default the format of the file decides: xywh in COCO, cxcywhn in YOLO labels.",
        PROMPTS,
    )
    images_json: str | None = option(
        None, "COCO JSON that lists the images of a results list.", PROMPTS, metavar="FILE"
    )
    points: str | None = option(
        None,
        "Point prompts: annotations with points [\\[x, y, 1 or 0], …], joined to boxes by annotation id.",
        PROMPTS,
        metavar="FILE",
    )
    coarse_masks: str | None = option(
        None,
        "Mask prompts: a JSON with segmentations, or a folder of PNGs or of labels with polygons; joined to boxes by "
        "annotation id.",
        PROMPTS,
        metavar="PATH",
    )
    frame: bool = option(False, "Prompt with the box of the whole image.", PROMPTS)
    strict: bool = option(False, "Exit with 3 if any prompt is left out, for whatever reason.", PROMPTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class EverythingConfig:
    """Parameters of everything mode; names and defaults are those of SAM's automatic mask generator."""

    points_per_side: int = option(32, "Points per side of the grid.", EVERYTHING, metavar="N", min=1, compared=True)
    pred_iou_thresh: float = option(0.88, "Minimum predicted IoU of masks.", EVERYTHING, metavar="X", compared=True)
    stability_score_thresh: float = option(
        0.95, "Minimum stability score of masks.", EVERYTHING, metavar="X", min=0, max=1, compared=True
    )
    stability_score_offset: float = option(
        1.0, "Offset of the logit threshold in the stability score.", EVERYTHING, metavar="X", min=0, compared=True
    )
    box_nms_thresh: float = option(
        0.7, "NMS IoU threshold of the masks' boxes.", EVERYTHING, metavar="X", min=0, max=1, compared=True
    )
    crop_n_layers: int = option(
        0, "Layers of image crops; layer n has 2^n x 2^n crops.", EVERYTHING, metavar="N", min=0, max=4, compared=True
    )
    crop_nms_thresh: float = option(
        0.7, "NMS IoU threshold between crops.", EVERYTHING, metavar="X", min=0, max=1, compared=True
    )
    crop_overlap_ratio: float = option(
        512 / 1500,
        "Overlap of crops, as a fraction of the image's shorter side.",
        EVERYTHING,
        metavar="X",
        min=0,
        max=1,
        compared=True,
    )
    crop_n_points_downscale_factor: int = option(
        1,
        "Downscale factor of points per side for each crop layer.",
        EVERYTHING,
        metavar="N",
        min=1,
        compared=True,
    )
    min_mask_region_area: int = option(
        0, "Remove smaller disconnected regions and holes of masks.", EVERYTHING, metavar="PIXELS", min=0, compared=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsConfig:
    """How objects are found where nothing prompts: grids of points, and a detector for what they leave.

    Attributes:
        grid_points: points per side of the grids, asked in turn, each where no mask is yet.
        grid_iou: minimum predicted IoU of masks at points.
        grid_stability: minimum stability score of masks at points.
        duplicate_iou: NMS IoU threshold of masks; those at points come first, best first.
        part: masks of which a larger fraction lies in another mask are dropped,
        part_size: if their area is less than this fraction of the other's.
    """

    grid_points: tuple[int, ...] = (4, 8)
    grid_iou: float = 0.85
    grid_stability: float = 0.75
    duplicate_iou: float = 0.7
    part: float = 0.8
    part_size: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanConfig:
    """How masks are cleaned after the model."""

    smooth: bool = option(False, "Smooth outlines; thin structures stay.", RESULTS, compared=True)
    fill_holes: str | None = option(
        None, "Fill holes with fewer pixels, or a smaller fraction of the mask.", RESULTS, metavar="N|P%", compared=True
    )
    min_region: str | None = option(
        None,
        "Remove disconnected regions with fewer pixels, or a smaller fraction of the mask; the largest stays.",
        RESULTS,
        metavar="N|P%",
        compared=True,
    )
    largest_part: bool = option(False, "Keep only the largest connected region.", RESULTS, compared=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoutConfig:
    """How objects are cut out of their photos."""

    soft: bool = option(False, "Soft edges of cut-outs: alpha is the mask probability.", RESULTS, compared=True)
    background: str | None = option(
        None,
        "Background color of cut-outs and crops: white, #f0f0f0, …. Default: transparent in cut-outs, the photo in "
        "crops.",
        RESULTS,
        metavar="COLOR",
        compared=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonConfig:
    """How masks become polygons."""

    segmentation: SegmentationKind = option(
        "rle", "Masks in COCO and NDJSON: RLE, polygons, or polygons with the RLE beside them.", RESULTS, compared=True
    )
    tolerance: float | None = option(
        None,
        f"Maximum distance of polygons from the outlines of masks; {DEFAULT_TOLERANCE} by default.",
        RESULTS,
        metavar="PIXELS",
        min=0,
        compared=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentConfig(RunConfig):
    """What `hqsam segment` is told beside its inputs and its output."""

    prompts: PromptConfig = part(PromptConfig)
    everything: bool = option(False, "Segment everything: masks at a grid of points, without prompts.", EVERYTHING)
    generator: EverythingConfig = part(EverythingConfig)
    detection: DetectorConfig = part(DetectorConfig)
    objects: ObjectsConfig = part(ObjectsConfig)
    format: tuple[str, ...] = option(
        ("coco", "png"),
        "Output format; repeatable. coco and png by default.",
        RESULTS,
        flags=("--format", "-f"),
        metavar="|".join(MASK_FORMATS),
    )
    overlay: bool = option(False, "Also draw masks over images: overlays/<image>.jpg.", RESULTS)
    thumbnail: bool = option(False, "Also write small photos for hqsam report: thumbnails/<image>.jpg.", RESULTS)
    polygons: PolygonConfig = part(PolygonConfig)
    cleaning: CleanConfig = part(CleanConfig)
    cutout: CutoutConfig = part(CutoutConfig)
    multimask: bool = option(
        False, "Write three masks per prompt, each with its predicted IoU.", RESULTS, compared=True
    )
    compare_sam: bool = option(False, "Also keep plain SAM's mask of each prompt.", RESULTS, compared=True)
    model: str = option(
        DEFAULT_MODEL,
        "lite, vit_tiny, vit_b, vit_l, vit_h, or an HQ-SAM, SAM or MobileSAM checkpoint.",
        SPEED,
        metavar="NAME|PATH",
        envvar=MODEL_VARIABLE,
        complete="models",
    )
    mask_output: MaskOutput = option(
        "sum", "SAM logits plus HQ logits, HQ logits only, or plain SAM.", SPEED, compared=True
    )
    dtype: str = option(
        "auto",
        "Precision; auto is bfloat16 where the device supports it.",
        SPEED,
        metavar="auto|float32|bfloat16|float16",
        compared=True,
    )
    prompts_per_batch: int | None = option(
        None, "Prompts decoded per batch: 32, and 8 on a CPU.", SPEED, metavar="N", min=1, compared=True
    )
    devices: str | None = option(
        None, "GPUs of this machine, one process each, instead of --device.", RUN, metavar="all|N,N…"
    )
    shard: str | None = option(
        None, "Process only part I of N of the images, chosen by name; hqsam merge joins the parts.", RUN,
        metavar="I/N", compared=True,
    )  # fmt: skip
    engine: Engine = option("local", "Run in this process, or in the actors of a Ray cluster.", RUN)
    address: str | None = option(
        None, "Address of the Ray cluster; by default one is started here.", RUN, metavar="HOST:PORT"
    )
    actors: int | None = option(
        None, "Number of Ray actors; by default as many as the cluster has room for.", RUN, metavar="N", min=1
    )

    @property
    def formats(self) -> frozenset[str]:
        """All that is written: `format`, and the pictures that have options of their own."""
        pictures = [name for name in ("overlay", "thumbnail") if getattr(self, name)]
        return frozenset([*self.format, *pictures])
