"""Damaged masks to refine: `python tests/bench/coarse.py FOLDER OUT KIND`.

FOLDER holds `images/` and `masks/` with equal stems. Then:
`hqsam eval --dataset FOLDER --prompt mask --coarse-masks OUT`
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from suspicion import eroded

from hqsam_cli.data.pairs import find_pairs
from hqsam_cli.io.masks import read_mask
from hqsam_cli.modeling.overlap import iou
from hqsam_cli.records import MaskCrop
from hqsam_cli.training.prompts import noisy_mask

Damage = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def blocks(mask: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Blocks of a 28th of the object, some of them wrong."""
    length = max(2, int(size / 28))
    shape = max(1, mask.shape[1] // length), max(1, mask.shape[0] // length)
    small = cv2.resize(mask.astype(np.float32), shape, interpolation=cv2.INTER_AREA)
    small = (small + rng.normal(0, 0.15, small.shape) > 0.45).astype(np.uint8)
    return cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)


def dilated(mask: np.ndarray, size: float, _rng: np.random.Generator) -> np.ndarray:
    """Wider by 3 % of the object all around."""
    reach = max(1, round(0.03 * size))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.dilate(mask.astype(np.uint8), disc).astype(bool)


def polygon(mask: np.ndarray, size: float, _rng: np.random.Generator) -> np.ndarray:
    """Few corners, within 3 % of the object from its outline, without holes."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    corners = [cv2.approxPolyDP(outline, 0.03 * size, True) for outline in outlines]
    return cv2.fillPoly(np.zeros(mask.shape, np.uint8), [own for own in corners if len(own) > 2], 1).astype(bool)


def noisy(mask: np.ndarray, _size: float, rng: np.random.Generator) -> np.ndarray:
    """A coarse mask as in training, with holes, bumps and specks."""
    small = noisy_mask(rng, cv2.resize(mask.astype(np.uint8) * 255, (1024, 1024)), 256).astype(np.uint8)
    return cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)


DAMAGES: dict[str, Damage] = {
    "blocks": blocks,
    "dilated": dilated,
    "eroded": lambda mask, _, rng: eroded(mask, rng),
    "polygon": polygon,
    "noisy": noisy,
}


def main() -> None:
    """Write a damaged mask for each image, and print their IoU with the ground truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("kind", choices=DAMAGES)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    ious = []
    for number, pair in enumerate(find_pairs(arguments.folder).pairs):
        gt = read_mask(pair.mask)
        mask = DAMAGES[arguments.kind](gt, max(MaskCrop.whole(gt).tight_box()[2:]), np.random.default_rng(number))
        ious.append(100 * iou(mask, gt))
        cv2.imwrite(str(arguments.out / f"{pair.image.stem}.png"), mask.astype(np.uint8) * 255)
    print(f"{arguments.out}: {len(ious)} masks, mIoU {np.mean(ious):.1f}")


if __name__ == "__main__":
    main()
