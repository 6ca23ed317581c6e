"""What a teacher sees: `python -m hqsam_cli.training.teacher DATA OUT --teacher mobile_sam`.

`lite`'s image encoder learns from a SAM's: for each of many frames OUT gets the frame, the teacher's embedding of
it and the objects in it, those of the data's masks and those that the teacher finds at points of a grid. Run it
again after a stop and it goes on. Only the teacher's SAM part counts.
"""

from __future__ import annotations

import argparse
import io
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..errors import HqsamError, ImageError
from ..inference.memory import keep_freed_memory
from ..inference.preprocess import Frame, framed_image
from ..models.checkpoints import load_model
from ..models.hub import checkpoint_path
from ..models.prompt_encoder import FOREGROUND_POINT, PADDING_POINT, PromptBatch
from ..models.sam import HQSam, ImageFeatures, normalised
from .augment import covering, empty_frame, resized_mask
from .layouts import pair_folder, read_pair
from .saving import write_whole

SIDE = 1024  # of a frame, in pixels
QUARTER = SIDE // 4  # of its masks, as a SAM makes them
JPEG_QUALITY = 95
GRID = 3  # points along either side
LEAST_ESTIMATE = 0.86  # of the IoU; below it the teacher itself does not trust a mask
LEAST_STABILITY = 0.9  # IoU of the mask at thresholds 1 and -1
SAME_OBJECT = 0.75  # IoU
LEAST_AREA, MOST_AREA = 40, 0.7 * QUARTER**2  # in pixels of the quarter frame
MOST_OBJECTS = 24


@dataclass(frozen=True, slots=True)
class Objects:
    """K objects of a frame.

    Attributes:
        masks: bool (K, QUARTER, QUARTER).
        truth: bool (K,), whether the mask comes with the data; the others are the teacher's.
    """

    masks: np.ndarray
    truth: np.ndarray


def photo_frame(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """A photo as `hqsam segment` frames it, uint8 (SIDE, SIDE, 3), and its mask, uint8 0 / 1 (SIDE, SIDE)."""
    inner = framed_image(image, Frame.of(image.shape[0], image.shape[1], SIDE))
    frame, target = empty_frame(SIDE), np.zeros((SIDE, SIDE), np.uint8)
    frame[: inner.shape[0], : inner.shape[1]] = inner
    target[: inner.shape[0], : inner.shape[1]] = resized_mask(mask, inner.shape[1], inner.shape[0], cv2.INTER_LINEAR)
    return frame, [target]


def mosaic_frame(
    rng: np.random.Generator, pairs: list[tuple[np.ndarray, np.ndarray]], cells: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """`cells` by `cells` photos, each filling its cell, and their masks: many small objects."""
    frame, targets = empty_frame(SIDE), []
    side = SIDE // cells
    for place, (image, mask) in enumerate(pairs):
        y, x = (side * n for n in divmod(place, cells))
        target = np.zeros((SIDE, SIDE), np.uint8)
        cell = slice(y, y + side), slice(x, x + side)
        frame[cell], target[cell] = covering(rng, image, mask, side, side)
        targets.append(target)
    return frame, targets


def drawn_frame(pairs: list[tuple[str, str]], number: int, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Frame and masks of a number: first each photo once, then mosaics.

    Raises:
        ImageError: a file is of no use.
    """
    if number < len(pairs):
        return photo_frame(*read_pair(*pairs[number]))
    rng = np.random.default_rng((seed, number))
    cells = int(rng.integers(2, 4))
    return mosaic_frame(rng, [read_pair(*pairs[i]) for i in rng.integers(len(pairs), size=cells**2)], cells)


@torch.inference_mode()
def embedding_of(teacher: HQSam, frame: np.ndarray) -> Tensor:
    """The teacher's embedding of a frame, float32 (1, 256, SIDE / 16, SIDE / 16)."""
    pixels = normalised(torch.from_numpy(frame).to(teacher.device).permute(2, 0, 1))[None]
    with torch.autocast(teacher.device.type, torch.bfloat16):
        return teacher.encode(pixels, hq=False).embedding.float()


@torch.inference_mode()
def objects_at_points(teacher: HQSam, embedding: Tensor, rng: np.random.Generator) -> np.ndarray:
    """Masks of different objects that the teacher finds and trusts, bool (K, QUARTER, QUARTER)."""
    cell = SIDE / GRID
    corners = np.stack(np.meshgrid(np.arange(GRID), np.arange(GRID)), axis=-1).reshape(-1, 1, 2) * cell
    points = np.zeros((GRID**2, 2, 2), np.float32)
    points[:, :1] = corners + rng.uniform(0, cell, corners.shape)
    labels = torch.tensor([[FOREGROUND_POINT, PADDING_POINT]], device=teacher.device).expand(GRID**2, -1)
    index = torch.zeros(GRID**2, dtype=torch.long, device=teacher.device)
    prompts = PromptBatch(index, torch.from_numpy(points).to(teacher.device), labels)
    with torch.autocast(teacher.device.type, torch.bfloat16):
        logits, estimates = teacher.predict(ImageFeatures(embedding, None), prompts, mask_output="sam", choice="all")
    logits = logits.flatten(0, 1)
    kept = different_and_trusted(logits, estimates.flatten())
    chosen = torch.from_numpy(rng.permutation(kept.cpu().numpy())[:MOST_OBJECTS]).to(kept.device)
    return (logits[chosen] > 0).cpu().numpy()


def different_and_trusted(logits: Tensor, estimates: Tensor) -> Tensor:
    """Indices of masks, logits (K, h, w), that are good by the teacher's own measure, and of each object one: (M,)."""
    area = (logits > 0).sum(dim=(1, 2))
    stability = (logits > 1).sum(dim=(1, 2)) / (logits > -1).sum(dim=(1, 2)).clamp(min=1)
    sized = (area > LEAST_AREA) & (area < MOST_AREA)
    good = (estimates > LEAST_ESTIMATE) & (stability > LEAST_STABILITY) & sized
    order = estimates.where(good, -1.0).argsort(descending=True)[: int(good.sum())]
    masks = (logits[order] > 0).flatten(1).float()
    overlap, sizes = masks @ masks.T, masks.sum(dim=1)
    alike = overlap / (sizes[:, None] + sizes - overlap) > SAME_OBJECT
    kept: list[int] = []
    for i in range(len(order)):
        if not alike[i, kept].any():
            kept.append(i)
    return order[kept]


def objects_of(truth: list[np.ndarray], found: np.ndarray) -> Objects:
    """The objects of a frame: masks of the data uint8 0 / 1 (SIDE, SIDE), and those found, at a quarter of it."""
    masks = [resized_mask(mask, QUARTER, QUARTER, cv2.INTER_AREA) for mask in truth]
    is_truth = [True] * len(masks) + [False] * len(found)
    both = [*masks, *found]
    seen = [i for i, mask in enumerate(both) if mask.sum() > LEAST_AREA]
    stacked = np.array([both[i] for i in seen], bool).reshape(-1, QUARTER, QUARTER)
    return Objects(stacked, np.array([is_truth[i] for i in seen], bool))


def lesson_paths(folder: Path, number: int) -> tuple[Path, Path, Path]:
    """Files of a frame's pixels, of its objects, and of its embedding, which is written last."""
    return tuple(folder / f"{number:06d}{suffix}" for suffix in (".jpg", ".npz", ".npy"))  # type: ignore[return-value]


def read_frame(path: Path) -> np.ndarray:
    """Pixels of a frame, uint8 RGB (S, S, 3).

    Raises:
        HqsamError: they cannot be read.
    """
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise HqsamError(f"{path}: not the pixels of a frame; delete it and what belongs to it, and write it again")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def write_lesson(teacher: HQSam, pairs: list[tuple[str, str]], number: int, out: Path, seed: int) -> None:
    """Write what the teacher sees in a frame, unless it is there.

    Raises:
        ImageError: a file is of no use.
        HqsamError: it cannot be written.
    """
    pixels, objects, embedding = lesson_paths(out, number)
    if embedding.exists():
        return
    frame, masks = drawn_frame(pairs, number, seed)
    _, coded = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    write_whole(pixels, coded.tobytes)
    seen = embedding_of(teacher, read_frame(pixels))  # as the student will see it
    found = objects_of(masks, objects_at_points(teacher, seen, np.random.default_rng((seed, number, 1))))
    write_whole(objects, lambda: _packed(found))
    rows = seen[0].permute(1, 2, 0).half().cpu().numpy()
    write_whole(embedding, lambda: _saved(rows))


def _packed(objects: Objects) -> bytes:
    buffer = io.BytesIO()
    bits = np.packbits(objects.masks, axis=-1)
    np.savez_compressed(buffer, masks=bits, truth=objects.truth)
    return buffer.getvalue()


def _saved(rows: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, rows)
    return buffer.getvalue()


def main() -> None:
    """Write all lessons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a folder a set, each with images/ and masks/")
    parser.add_argument("out", type=Path)
    parser.add_argument("--teacher", default="mobile_sam", help="a name of hqsam weights list, or a checkpoint")
    parser.add_argument("--mosaics", type=int, default=800, help="of several photos, beside each photo once")
    parser.add_argument("--frames", type=int, help="only so many, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    teacher = load_model(checkpoint_path(arguments.teacher)).to(arguments.device)
    teacher.image_encoder.to(memory_format=torch.channels_last)
    folders = [pair_folder(path) for path in sorted(arguments.data.iterdir()) if path.is_dir()]
    pairs = [pair for folder in folders for pair in folder.pairs]
    order = np.random.default_rng(arguments.seed).permutation(len(pairs) + arguments.mosaics)[: arguments.frames]
    for number in tqdm(order, unit="frame"):
        try:
            write_lesson(teacher, pairs, int(number), arguments.out, arguments.seed)
        except ImageError as error:
            print(f"skipped: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
