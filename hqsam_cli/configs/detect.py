"""What `hqsam detect` is told, and the detector of `hqsam segment`."""

from __future__ import annotations

from dataclasses import dataclass

from .names import BoxFileFormat
from .option import option, part
from .run import DETECTOR, RESULTS, RunConfig

# As ultralytics has them, for detectors that say nothing else.
CONF, IOU, MAX_DET = 0.25, 0.7, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    """A detector and its parameters; minimum score and maximum number hold for boxes of files and for masks too."""

    detector: str | None = option(
        None,
        "Detector: an ultralytics model as .pt or .onnx, or a name such as yolo11n.pt. Default: object, the one in "
        "this package.",
        DETECTOR,
        metavar="NAME|PATH",
        complete="detectors",
    )
    score_threshold: float | None = option(
        None,
        f"Minimum score of boxes; of a detector {CONF}, or its own default.",
        DETECTOR,
        metavar="S",
        min=0,
        max=1,
        compared=True,
    )
    max_det: int | None = option(
        None,
        f"Maximum number of detections per image, best scores first; of a detector {MAX_DET} by default.",
        DETECTOR,
        metavar="N",
        min=1,
        compared=True,
    )
    iou: float | None = option(
        None, f"IoU threshold of NMS; {IOU}, or the detector's own.", DETECTOR, metavar="IOU", min=0, max=1,
        compared=True,
    )  # fmt: skip
    classes: tuple[str, ...] = option(
        (),
        "Keep only these classes, by name or by number from 0; repeatable. YOLO-World and YOLOE take any words.",
        DETECTOR,
        metavar="NAME,...",
        compared=True,
    )
    imgsz: int | None = option(
        None, "Detector input size, its longest side; its own by default.", DETECTOR, metavar="PIXELS", min=32,
        compared=True,
    )  # fmt: skip
    half: bool = option(False, "Run the detector in float16, on a GPU.", DETECTOR, compared=True)
    trust_detector: bool = option(False, "Load a .pt of unknown origin, which can run code.", DETECTOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectConfig(RunConfig):
    """What `hqsam detect` is told beside its inputs and its output."""

    format: BoxFileFormat | None = option(
        None,
        "COCO JSON with images and categories, a COCO results list, YOLO label files, or NDJSON, a line an image. "
        "coco by default; ndjson on stdout.",
        RESULTS,
        flags=("--format", "-f"),
        compared=True,
    )
    images_json: str | None = option(
        None, "COCO JSON whose image ids the results take, by file name.", RESULTS, metavar="FILE"
    )
    save_conf: bool = option(False, "Write the score as a sixth column of YOLO labels.", RESULTS, compared=True)
    detection: DetectorConfig = part(DetectorConfig)
