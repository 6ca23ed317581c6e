"""Options of `hqsam detect`, and of the detector in `hqsam segment`."""

from __future__ import annotations

from dataclasses import dataclass

from .names import BoxFileFormat
from .option import option, part
from .run import ADVANCED, DETECTOR, RESULTS, RunConfig

YOLOE = "yoloe-11l-seg.pt"  # the detector of objects by example
# Defaults of ultralytics, for detectors without their own.
CONF, IOU, MAX_DET = 0.25, 0.7, 300
MIN_OBJECTNESS, LIKELY_OBJECT = 0.1, 0.3  # of masks found without prompts, by default and with `objects`


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    """A detector and its parameters; `score_threshold` and `max_det` also filter boxes from files, and masks."""

    detector: str | None = option(
        None,
        "Detector: an ultralytics .pt or .onnx file, or a name such as yolo11n.pt; by default object, the detector "
        "of this package.",
        DETECTOR,
        metavar="NAME|PATH",
        complete="detectors",
    )
    score_threshold: float | None = option(
        None,
        f"Minimum score of boxes or found masks, 0 to 1; for a detector {CONF} or its own default, without prompts "
        f"{MIN_OBJECTNESS}.",
        DETECTOR,
        metavar="S",
        min=0,
        max=1,
        compared=True,
    )
    max_det: int | None = option(
        None,
        f"Maximum number of boxes or masks per image, highest scores first; for a detector {MAX_DET} by default.",
        DETECTOR,
        metavar="N",
        min=1,
        compared=True,
    )
    iou: float | None = option(
        None, f"NMS IoU threshold of the detector; by default that of its file, or {IOU}.", ADVANCED, metavar="IOU",
        min=0, max=1,
        compared=True,
    )  # fmt: skip
    classes: tuple[str, ...] = option(
        (),
        "Detect only these classes: names, or indices from 0; repeatable. YOLO-World and YOLOE accept any text.",
        DETECTOR,
        metavar="NAME,...",
        compared=True,
    )
    like: tuple[str, ...] = option(
        (),
        "Find objects that look like those labeled in these photos, with their classes: images or folders; repeatable. "
        f"The detector is a YOLOE, {YOLOE} by default.",
        DETECTOR,
        metavar="PATH",
    )
    like_boxes: str | None = option(
        None, "Boxes and classes of the objects in the photos of --like, in any format that --boxes reads.", DETECTOR,
        metavar="PATH",
    )  # fmt: skip
    imgsz: int | None = option(
        None, "Input size of the detector, longest side; by default that of its file.", ADVANCED, metavar="PIXELS",
        min=32, compared=True,
    )  # fmt: skip
    half: bool = option(False, "Run the detector in float16 (GPU only).", ADVANCED, compared=True)
    trust_detector: bool = option(False, "Load a .pt of unknown origin; a pickle can run arbitrary code.", ADVANCED)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectConfig(RunConfig):
    """Options of `hqsam detect`, except its inputs and its output."""

    format: BoxFileFormat | None = option(
        None,
        "Output format: COCO JSON, COCO results list, YOLO labels, or NDJSON with a line per image; coco by default, "
        "ndjson on stdout.",
        RESULTS,
        flags=("--format", "-f"),
        compared=True,
    )
    images_json: str | None = option(
        None, "COCO JSON that gives the image ids of the results, by file name.", RESULTS, metavar="FILE"
    )
    save_conf: bool = option(False, "Write scores as the sixth column of YOLO labels.", RESULTS, compared=True)
    detection: DetectorConfig = part(DetectorConfig)
