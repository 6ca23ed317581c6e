"""DAVIS: region similarity J and contour accuracy F of video objects (Perazzi et al., CVPR 2016).

HQ-SAM has no memory: each frame is segmented independently, prompted with boxes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..configs import MaskOutput
from ..data.pairs import check_same_size
from ..data.sets import Dataset
from ..errors import HqsamError, ImageError
from ..formats.coco_file import read_whole
from ..formats.values import note
from ..io.copies import LocalCopy
from ..io.images import read_image
from ..records import Prompt
from .metrics import VIDEO_METRICS, score
from .prompts import tight_box
from .protocols import Masks
from .rows import Row
from .scores import ImageScores, Metrics, Score, Task

VOID = 255  # DAVIS ignore label
Boxes = dict[int, tuple[float, float, float, float]]  # x0, y0, x1, y1 by object id


class VideoFrame(NamedTuple):
    """A frame; `name` is `sequence/stem`, `objects` are the ids up to the largest in the sequence's first frame."""

    name: str
    image: Path
    ids: Path
    objects: tuple[int, ...]


def video_frames(dataset: Dataset) -> tuple[list[VideoFrame], list[str]]:
    """Return all frames except the first and last of each sequence, as in the DAVIS evaluation, and problems.

    `ImageSets/2017/val.txt` beside the image folders, if present, lists the sequences; problems are what they lack.
    Ids that are missing below the largest of the first frame are objects that are never visible, as in DAVIS.

    Raises an HqsamError if no frame is left, an ImageError if the first frame of a sequence cannot be read.
    """
    root, gt = Path(dataset.images), Path(dataset.gt)
    chosen = root.parents[1] / "ImageSets" / "2017" / "val.txt"
    folders = sorted(folder.name for folder in gt.iterdir() if folder.is_dir())
    frames: list[VideoFrame] = []
    missing, short, partial = list[str](), list[str](), list[str]()
    for sequence in chosen.read_text().split() if chosen.is_file() else folders:
        annotated = sorted((gt / sequence).glob("*.png"))
        if len(annotated) < 3:
            (short if annotated else missing).append(sequence)
            continue
        if len(annotated) < len(list((root / sequence).glob("*.jpg"))):
            partial.append(sequence)
        first = object_ids(annotated[0])
        objects = tuple(range(1, int(first[first != VOID].max(initial=0)) + 1))
        for ids in annotated[1:-1]:
            image = root / sequence / f"{ids.stem}.jpg"
            frames.append(VideoFrame(f"{sequence}/{ids.stem}", image, ids, objects))
    if not frames:
        remedy = f"pass the folders of {dataset.title}"
        raise HqsamError("contains no <sequence> of three <frame>.png", file=gt, remedy=remedy)
    problems: list[str] = []
    note(problems, f"{gt}: sequences without annotated frames, skipped", missing)
    note(problems, f"{gt}: sequences of fewer than three annotated frames, skipped", short)
    note(problems, f"{gt}: sequences with fewer annotated frames than images", partial)
    return frames, problems


def object_ids(path: Path) -> np.ndarray:
    """Read the object id of each pixel of an annotated frame, (H, W). Raises an ImageError."""
    try:
        with Image.open(path) as file:
            ids = np.array(file)
    except OSError as error:
        raise ImageError("no readable image", file=path, detail=str(error)) from None
    if ids.ndim != 2:
        raise ImageError("has colors instead of object ids", file=path, remedy="DAVIS 2017 has palette images")
    return ids


def frame_boxes(path: Path) -> dict[str, Boxes]:
    """Read boxes by frame from JSON: `{"sequence/stem": {"1": [x, y, w, h], …}, …}`. Raises an HqsamError."""
    content = read_whole(LocalCopy(path))
    try:
        return {
            frame: {int(key): (float(x), float(y), x + float(w), y + float(h)) for key, (x, y, w, h) in boxes.items()}
            for frame, boxes in content.items()
        }
    except (ValueError, TypeError, AttributeError):
        form = '{"sequence/frame": {"1": [x, y, w, h]}}'
        raise HqsamError("contains no boxes by frame and object", file=path, remedy=f"expected: {form}") from None


LoadedFrame = tuple[np.ndarray, np.ndarray]  # uint8 RGB (H, W, 3), and object ids (H, W)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTask(Task[VideoFrame, LoadedFrame]):
    """Evaluation on video frames, prompted with `boxes`, or with ground truth boxes if None."""

    boxes: dict[str, Boxes] | None = None

    def load(self, item: VideoFrame) -> LoadedFrame:
        """See `Task`."""
        image = read_image(str(item.image), exif="ignore")
        ids = object_ids(item.ids)
        check_same_size(item.ids, ids, image)
        return image, ids

    def score(self, item: VideoFrame, loaded: LoadedFrame) -> ImageScores:
        """J and F of each object. Without a box the mask is empty, which is correct if the object is not visible."""
        image, ids = loaded
        boxes = self._boxes(item, ids)
        prompts = [Prompt(n, box=boxes[n]) for n in item.objects if n in boxes]
        found: dict[MaskOutput, Masks] = {output: ([], []) for output in self.evaluator.outputs}
        if prompts:
            found = self.evaluator.masks(self.evaluator.prepare(image), prompts)
        scores = []
        for output, (masks, _) in found.items():
            by_id = {prompt.annotation_id: mask for prompt, mask in zip(prompts, masks, strict=True)}
            for n in item.objects:
                mask = by_id.get(n, np.zeros(ids.shape, bool))
                empty = int(n in by_id and not mask.any())
                scores.append(Score(f"object {n}", output, [score(mask, ids == n, VIDEO_METRICS)], empty=empty))
        return ImageScores(item.name, scores)

    def _boxes(self, item: VideoFrame, ids: np.ndarray) -> Boxes:
        if self.boxes is not None:
            return self.boxes.get(item.name, {})
        visible = set(np.unique(ids).tolist())
        tight = {n: tight_box(ids == n) for n in item.objects if n in visible}
        return {n: (x0, y0, x1 + 1.0, y1 + 1.0) for n, (x0, y0, x1, y1) in tight.items()}

    def rows(self, images: Sequence[ImageScores]) -> list[Row]:
        """See `Task`: means over the frames of each object, then over objects, as DAVIS does."""
        prompt = "ground-truth boxes" if self.boxes is None else "boxes of a file"
        n = sum(image.error is None for image in images)
        return [Row(self.key, prompt, output, n, video_figures(images, output)) for output in self.evaluator.outputs]


def video_figures(images: Sequence[ImageScores], output: str) -> Metrics:
    """J&F, J and F in percent."""
    by_object: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for image in images:
        for own in image.scores:
            if own.mask_output == output:
                (metrics,) = own.objects
                by_object[image.name.rpartition("/")[0], own.prompt].append([metrics["J"], metrics["F"]])
    if not by_object:
        return {"J&F": float("nan"), "J": float("nan"), "F": float("nan")}
    region, contour = np.mean([np.mean(scores, axis=0) for scores in by_object.values()], axis=0) * 100
    return {"J&F": float(region + contour) / 2, "J": float(region), "F": float(contour)}
