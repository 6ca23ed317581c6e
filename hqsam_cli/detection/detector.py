"""Object detection in images with an ultralytics model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..configs import CONF, IOU, MAX_DET, DetectorConfig
from ..errors import HqsamError, UsageError, first_line
from ..records import Category, Prompt
from ..weights.hub import file_hash
from .open_vocabulary import is_open_vocabulary, is_yoloe, set_classes
from .visual_prompts import IMGSZ, Examples, not_yoloe, set_visual_classes
from .yolo import keep_threads, read_detector, ultralytics

TASKS = ("detect", "segment", "pose")  # ultralytics tasks with axis-aligned boxes
PIXEL_DECIMALS, SCORE_DECIMALS = 2, 6
SHOWN_CLASSES = 10


class Detector:
    """An ultralytics detection, segmentation, pose or open-vocabulary model.

    Args:
        path: a `.pt`, `.onnx` or `.safetensors` file; see `detector_file` for which are safe to load.
        may_fetch: for the text encoder of an open-vocabulary model; see `set_classes`.
        examples: objects that are the classes of a YOLOE, instead of its own or of text prompts.

    Attributes:
        categories: COCO categories of the requested classes, else of all; ids are the model's class indices plus one,
            or those of the examples.
        config: the settings, with the model's defaults for unset values.
        sha256: of the model file.
        identity: digests of what its boxes depend on, by option: the model with its text encoder, and the examples.

    Raises:
        HqsamError: the file is not a detector.
        UsageError: a class the model does not have, or examples for another model than a YOLOE.
    """

    def __init__(
        self,
        path: Path,
        settings: DetectorConfig,
        device: torch.device,
        *,
        may_fetch: bool = True,
        examples: Examples | None = None,
    ) -> None:
        yolo = _loaded(path)
        try:
            names: dict[int, str] = yolo.names
        except Exception as error:
            raise HqsamError(f"ultralytics cannot run it ({first_line(error)})", file=path) from None
        if yolo.task not in TASKS:
            raise UsageError(
                f"a model of the task {yolo.task}, which predicts no boxes", file=path, remedy="pass a detection model"
            )
        if settings.half and device.type == "cpu":
            raise UsageError(
                "float16 is not supported on a CPU", option="half", remedy="omit it, or pass `device` cuda"
            )
        self.sha256 = file_hash(path)
        self.identity = {"detector": self.sha256[:16]}
        defaults = yolo.overrides
        new_classes = _new_classes(settings.classes, names)
        if examples is not None:
            if not is_yoloe(yolo.model):
                raise not_yoloe(path)
            set_visual_classes(yolo.model, examples, settings.imgsz or defaults.get("imgsz", IMGSZ), device)
            self.identity["like"] = examples.digest
            names = {n: category["name"] for n, category in enumerate(examples.categories)}
        elif new_classes and is_open_vocabulary(yolo.model):
            encoder = set_classes(yolo.model, new_classes, may_fetch=may_fetch)
            self.identity["detector"] += f"+{encoder[:16]}"
            names = dict(enumerate(new_classes))
            settings = replace(settings, classes=tuple(new_classes))
        conf = defaults.get("conf", CONF) if settings.score_threshold is None else settings.score_threshold
        iou = defaults.get("iou", IOU) if settings.iou is None else settings.iou
        chosen = _class_indices(settings.classes, names, path)
        self._by_index: dict[int, Category] = (
            {n: {"id": n + 1, "name": name} for n, name in names.items()}
            if examples is None
            else dict(enumerate(examples.categories))
        )
        self.categories = [self._by_index[n] for n in chosen or sorted(names)]
        most = settings.max_det or MAX_DET
        kept = tuple(names[index] for index in chosen)
        settings = replace(settings, score_threshold=conf, iou=iou, classes=kept, max_det=most)
        self.config = settings
        self._predict = partial(
            yolo.predict,
            conf=conf,
            iou=iou,
            classes=chosen or None,
            max_det=most,
            device=device,
            verbose=False,
            save=False,
            # Otherwise ultralytics uses the model's defaults.
            **({} if settings.imgsz is None else {"imgsz": settings.imgsz}),
            **({"half": True} if settings.half else {}),
        )

    def detect(self, images: list[np.ndarray]) -> list[list[Prompt]]:
        """Detect boxes in each image, by descending score, with annotation ids from 1.

        Args:
            images: RGB uint8 (H, W, 3), of any sizes; predicted in one batch.
        """
        if not images:
            return []
        keep_threads()
        results = self._predict([np.ascontiguousarray(image[..., ::-1]) for image in images])
        return [_prompts(result, self._by_index) for result in results]


def _loaded(path: Path) -> Any:
    """Load a file as an ultralytics `YOLO`."""
    if path.suffix == ".safetensors":
        return read_detector(path)
    try:
        return ultralytics().YOLO(str(path))
    except Exception as error:  # unpickling can raise any exception
        raise HqsamError(
            f"ultralytics cannot load it ({first_line(error)})", file=path, remedy="pass a detection model"
        ) from None


def _new_classes(wanted: tuple[str, ...], names: dict[int, str]) -> list[str]:
    """Unique requested classes if the model lacks any of them; else an empty list."""
    known = {name.casefold() for name in names.values()} | set(map(str, names))
    if all(text.strip().casefold() in known for text in wanted):
        return []
    classes = list(dict.fromkeys(part.strip() for text in wanted for part in text.split(",") if part.strip()))
    return [] if all(name.casefold() in known for name in classes) else classes


def _class_indices(wanted: tuple[str, ...], names: dict[int, str], path: Path) -> list[int]:
    """Sorted class indices; a string is a case-insensitive name, else an index, else a comma-separated list of these.

    Raises:
        UsageError: the model has no such class.
    """
    known = {str(index): index for index in names} | {name.casefold(): index for index, name in names.items()}
    chosen: set[int] = set()
    for text in wanted:
        whole = text.strip().casefold() in known
        for part in [text] if whole else text.split(","):
            name = part.strip().casefold()
            if not name:
                continue
            if name not in known:
                close = get_close_matches(name, known, n=5, cutoff=0.5)
                shown = [names[known[match]] for match in close] or [*names.values()][:SHOWN_CLASSES]
                more = ", …" if not close and len(names) > SHOWN_CLASSES else ""
                raise UsageError(
                    f"{path.name} has no such class",
                    option="classes",
                    value=part.strip(),
                    remedy=f"{'did you mean' if close else 'it has'}: {', '.join(shown)}{more}",
                )
            chosen.add(known[name])
    return sorted(chosen)


def _prompts(result: Any, categories: Mapping[int, Category]) -> list[Prompt]:
    """Convert the boxes of a result to prompts, rounded to 0.01 pixels, so that a file reproduces them.

    Args:
        categories: by the model's class index.
    """
    height, width = result.orig_shape
    corners = result.boxes.xyxy.double().cpu().numpy().clip(0, [width, height, width, height])
    prompts: list[Prompt] = []
    for (x0, y0, x1, y1), score, category in zip(
        corners.round(PIXEL_DECIMALS).tolist(), result.boxes.conf.tolist(), result.boxes.cls.tolist(), strict=True
    ):
        # Corners are computed from x, y, width and height, as when reading a COCO file.
        w, h = round(x1 - x0, PIXEL_DECIMALS), round(y1 - y0, PIXEL_DECIMALS)
        if w > 0 and h > 0:
            box = (x0, y0, x0 + w, y0 + h)
            score = min(round(score, SCORE_DECIMALS), 1.0)
            prompts.append(Prompt(len(prompts) + 1, categories[int(category)]["id"], box=box, score=score))
    return prompts
