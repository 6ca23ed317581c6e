"""DAVIS: region J and contour F of the objects of a video, frame by frame (Perazzi et al., CVPR 2016).

HQ-SAM has no memory of earlier frames: each is an image of its own, prompted by ground-truth boxes or of a file.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..configs import DEFAULT_MAX_PIXELS
from ..data.pairs import check_same_size
from ..data.sets import Dataset
from ..errors import HqsamError, ImageError
from ..io.images import read_image
from ..records import Prompt
from .metrics import VIDEO_METRICS, score
from .prompts import tight_box
from .protocols import Evaluator
from .runner import Record

VOID = 255  # pixels of DAVIS that belong to no object


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One frame: `name` is `sequence/stem`, `objects` are the ids of the first frame of its sequence."""

    name: str
    image: Path
    ids: Path
    objects: tuple[int, ...]


def video_frames(dataset: Dataset) -> list[VideoFrame]:
    """The frames that count of all sequences, in order: as in DAVIS' own evaluation, all but the first and the last.

    A list `ImageSets/2017/val.txt` beside the folders of images says which sequences, where it is there.

    Raises:
        HqsamError: no frame is there, or none of more than two in a sequence.
        ImageError: the first frame of a sequence cannot be read.
    """
    root, gt = Path(dataset.images), Path(dataset.gt)
    chosen = root.parents[1] / "ImageSets" / "2017" / "val.txt"
    listed = chosen.read_text().split() if chosen.is_file() else None
    names = listed if listed is not None else sorted(folder.name for folder in gt.iterdir() if folder.is_dir())
    frames = []
    for sequence in names:
        annotated = sorted((gt / sequence).glob("*.png"))
        if len(annotated) < 3:
            continue
        objects = tuple(int(n) for n in np.unique(object_ids(annotated[0])) if n not in (0, VOID))
        for ids in annotated[1:-1]:
            image = root / sequence / f"{ids.stem}.jpg"
            frames.append(VideoFrame(f"{sequence}/{ids.stem}", image, ids, objects))
    if not frames:
        raise HqsamError(
            "holds no <sequence> of three <frame>.png", file=gt, remedy=f"give the folders of {dataset.title}"
        )
    return frames


def object_ids(path: Path) -> np.ndarray:
    """The id of the object at each pixel of an annotated frame, (H, W).

    Raises:
        ImageError: no palette or gray image.
    """
    try:
        with Image.open(path) as file:
            ids = np.array(file)
    except OSError as error:
        raise ImageError("no readable image", file=path, detail=str(error)) from None
    if ids.ndim != 2:
        raise ImageError("has colors instead of object ids", file=path, remedy="DAVIS 2017 has palette images")
    return ids


def frame_boxes(path: Path) -> dict[str, dict[int, list[float]]]:
    """Boxes of a file by frame and object: `{"sequence/stem": {"1": [x, y, w, h], …}, …}`.

    Raises:
        HqsamError: no such file.
    """
    try:
        content = json.loads(path.read_bytes())
        return {
            frame: {int(key): [float(n) for n in box] for key, box in boxes.items()} for frame, boxes in content.items()
        }
    except OSError as error:
        raise HqsamError(f"cannot be read ({error.strerror})", file=path, remedy="give a JSON file") from None
    except (ValueError, TypeError, AttributeError):
        form = '{"sequence/frame": {"1": [x, y, w, h]}}'
        raise HqsamError("holds no boxes by frame and object", file=path, remedy=f"its form is {form}") from None


@dataclass(frozen=True, slots=True)
class LoadedFrame:
    """A frame, uint8 RGB (H, W, 3), and the id of the object at each pixel, (H, W)."""

    image: np.ndarray
    ids: np.ndarray


class VideoScorer:
    """J and F of each object of a frame.

    Args:
        boxes: of `frame_boxes`; None takes the ground truth's.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        boxes: dict[str, dict[int, list[float]]] | None,
        *,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        self.evaluator = evaluator
        self.boxes = boxes
        self.max_pixels = max_pixels

    def loaded(self, frame: VideoFrame) -> LoadedFrame:
        """Read a frame; an ImageError names what is wrong with it."""
        image = read_image(str(frame.image), exif="ignore", max_pixels=self.max_pixels)
        ids = object_ids(frame.ids)
        check_same_size(frame.ids, ids, image)
        return LoadedFrame(image, ids)

    def record(self, frame: VideoFrame, loaded: LoadedFrame) -> Record:
        """`objects`: by mask output and object id, J and F by name.

        An object without a box has an empty mask, which is right in a frame that does not show it.
        """
        objects = frame.objects
        empty = np.zeros(loaded.ids.shape, bool)
        own = self._boxes(frame, loaded)
        asked = [n for n in objects if n in own]
        scores: dict[str, dict[str, dict[str, float]]] = {output: {} for output in self.evaluator.outputs}
        answers: dict[Any, Any] = {output: ([], []) for output in self.evaluator.outputs}
        if asked:
            prompts = [Prompt(n, box=own[n]) for n in asked]
            answers = self.evaluator.masks(self.evaluator.prepare(loaded.image), prompts)
        for output, (masks, _) in answers.items():
            made = dict(zip(asked, masks, strict=True))
            for n in objects:
                mask, gt = made.get(n, empty), loaded.ids == n
                scores[output][str(n)] = score(mask, gt, VIDEO_METRICS)
        return {"objects": scores}

    def _boxes(self, frame: VideoFrame, loaded: LoadedFrame) -> dict[int, tuple[float, float, float, float]]:
        if self.boxes is None:
            shown = set(np.unique(loaded.ids).tolist())
            tight = {n: tight_box(loaded.ids == n) for n in frame.objects if n in shown}
            return {n: (x0, y0, x1 + 1.0, y1 + 1.0) for n, (x0, y0, x1, y1) in tight.items()}
        found = self.boxes.get(frame.name, {})
        return {n: (x, y, x + w, y + h) for n, (x, y, w, h) in found.items()}


def video_figures(records: Sequence[Record], output: str) -> dict[str, float]:
    """J&F, J and F in percent: means over the frames of an object, then over objects, as DAVIS has it."""
    by_object: dict[str, list[list[float]]] = defaultdict(list)
    for record in records:
        if record["error"] is None:
            sequence = record["file_name"].rpartition("/")[0]
            for number, scores in record["objects"][output].items():
                by_object[f"{sequence} {number}"].append([scores["J"], scores["F"]])
    if not by_object:
        return {"J&F": float("nan"), "J": float("nan"), "F": float("nan")}
    region, contour = np.mean([np.mean(scores, axis=0) for scores in by_object.values()], axis=0) * 100
    return {"J&F": float(region + contour) / 2, "J": float(region), "F": float(contour)}
