"""Images in, boxes out: the one way through a detector of ultralytics."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..configs import CONF, IOU, MAX_DET, DetectorConfig
from ..errors import HqsamError, UsageError
from ..records import Prompt
from ..weights.hub import file_hash
from .engine import keep_threads, ultralytics
from .plain import read_plain
from .words import set_words, takes_words

TASKS = ("detect", "segment", "pose")  # of ultralytics, those that give boxes along the axes
PIXEL_DECIMALS, SCORE_DECIMALS = 2, 6
SHOWN_CLASSES = 10


class Detector:
    """A detection, segmentation, pose or world model of ultralytics.

    Args:
        path: a `.pt`, an `.onnx` or a `.safetensors`; see `detector_file` for which to trust.
        device: where to compute.
        trusted, may_fetch: of a text encoder, where classes are words that the model does not have; see `set_words`.

    Attributes:
        categories: COCO categories; ids are the model's class numbers plus one.
        config: what it is asked, with what it asks for itself where the user did not say.
        sha256: of its file.
        identity: of what its boxes depend on: its file, and the text encoder of its words.

    Raises:
        HqsamError: the file is none of these.
        UsageError: a class the model does not have.
    """

    def __init__(
        self,
        path: Path,
        settings: DetectorConfig,
        device: torch.device,
        *,
        trusted: bool = False,
        may_fetch: bool = True,
    ) -> None:
        self._yolo = _loaded(path)
        try:
            names: dict[int, str] = self._yolo.names
        except Exception as error:
            raise HqsamError(f"ultralytics cannot run it ({_reason(error)})", file=path) from None
        if self._yolo.task not in TASKS:
            raise UsageError(
                f"a model for the task {self._yolo.task}, which gives no boxes",
                file=path,
                remedy="give a detection model",
            )
        if settings.half and device.type == "cpu":
            raise UsageError("a CPU computes in float32", option="half", remedy="leave it out, or pass `device` cuda")
        self.sha256 = file_hash(path)
        self.identity = self.sha256[:16]
        words = _unknown_words(settings.classes, names)
        if words and takes_words(self._yolo.model):
            encoder = set_words(self._yolo.model, words, trusted=trusted, may_fetch=may_fetch)
            self.identity = f"{self.identity}+{encoder[:16]}"
            names = dict(enumerate(words))
            settings = replace(settings, classes=tuple(words))
        self.categories: list[dict[str, Any]] = [{"id": n + 1, "name": name} for n, name in sorted(names.items())]
        own = self._yolo.overrides
        conf = own.get("conf", CONF) if settings.score_threshold is None else settings.score_threshold
        iou = own.get("iou", IOU) if settings.iou is None else settings.iou
        chosen = _class_numbers(settings.classes, names, path)
        most = settings.max_det or MAX_DET
        kept = tuple(names[number] for number in chosen)
        settings = replace(settings, score_threshold=conf, iou=iou, classes=kept, max_det=most)
        self.config = settings
        self._arguments: dict[str, Any] = {
            "conf": conf,
            "iou": iou,
            "classes": chosen or None,
            "max_det": most,
            "device": device,
            "verbose": False,
            "save": False,
        }
        # What is not given is the model's own.
        self._arguments |= {"imgsz": settings.imgsz} if settings.imgsz is not None else {}
        self._arguments |= {"half": True} if settings.half else {}

    def detect(self, images: list[np.ndarray]) -> list[list[Prompt]]:
        """Boxes of each image, in the detector's order, numbered from 1 in each.

        Args:
            images: RGB uint8 (H, W, 3), of any sizes; seen by the model as one batch.
        """
        if not images:
            return []
        keep_threads()
        results = self._yolo.predict([np.ascontiguousarray(image[..., ::-1]) for image in images], **self._arguments)
        return [_prompts(result) for result in results]


def _loaded(path: Path) -> Any:
    """The `YOLO` of a file."""
    if path.suffix == ".safetensors":
        return read_plain(path)
    try:
        return ultralytics().YOLO(str(path))
    except Exception as error:  # a pickle can raise anything
        raise HqsamError(
            f"ultralytics cannot load it ({_reason(error)})", file=path, remedy="give a detection model"
        ) from None


def _reason(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:160] if lines else type(error).__name__


def _unknown_words(wanted: tuple[str, ...], names: dict[int, str]) -> list[str]:
    """All the words that are wanted, each once, where a model does not have them all; else none."""
    known = {name.casefold() for name in names.values()} | set(map(str, names))
    if all(text.strip().casefold() in known for text in wanted):
        return []
    words = list(dict.fromkeys(part.strip() for text in wanted for part in text.split(",") if part.strip()))
    return [] if all(word.casefold() in known for word in words) else words


def _class_numbers(wanted: tuple[str, ...], names: dict[int, str], path: Path) -> list[int]:
    """The numbers of classes, ascending: a text is a name, whatever its case, else a number, else several with commas.

    Raises:
        UsageError: the model has no such class.
    """
    known = {name.casefold(): number for number, name in names.items()}
    known = {str(number): number for number in names} | known
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
                    remedy=f"{'close are' if close else 'it has'}: {', '.join(shown)}{more}",
                )
            chosen.add(known[name])
    return sorted(chosen)


def _prompts(result: Any) -> list[Prompt]:
    """A result's boxes as prompts, in hundredths of a pixel, so that a file keeps them as they are."""
    height, width = result.orig_shape
    corners = result.boxes.xyxy.double().cpu().numpy().clip(0, [width, height, width, height])
    prompts: list[Prompt] = []
    for (x0, y0, x1, y1), score, category in zip(
        corners.round(PIXEL_DECIMALS).tolist(), result.boxes.conf.tolist(), result.boxes.cls.tolist(), strict=True
    ):
        # Corners made of position and size are those that a reader of position and size will make.
        w, h = round(x1 - x0, PIXEL_DECIMALS), round(y1 - y0, PIXEL_DECIMALS)
        if w > 0 and h > 0:
            box = (x0, y0, x0 + w, y0 + h)
            score = min(round(score, SCORE_DECIMALS), 1.0)
            prompts.append(Prompt(len(prompts) + 1, int(category) + 1, box=box, score=score))
    return prompts
