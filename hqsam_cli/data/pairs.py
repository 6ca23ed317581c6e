"""Sets of images with masks, as they lie in folders."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import ImageError, NoInputError
from ..io.find import IMAGE_SUFFIXES
from ..io.images import decoded_image
from ..io.masks import mask_pixels

# Folder of the images and folder of the masks: ours, DIS5K's, and masks lying beside their images.
LAYOUTS = (("images", "masks"), ("im", "gt"), (".", "."))
ALPHA = "alpha"  # beside the folder of the masks, 8-bit mattes of some or all images
FLAT_SUFFIXES = (".jpg", ".jpeg")  # where masks, which are .png, lie in the same folder

# HQSeg-44K as its authors lay it out: name, images, masks (HQ-SAM, section 4.1).
HQSEG_44K = (
    ("DIS5K-TR", "DIS5K/DIS-TR/im", "DIS5K/DIS-TR/gt"),
    (
        "ThinObject5K-TR",
        "thin_object_detection/ThinObject5K/images_train",
        "thin_object_detection/ThinObject5K/masks_train",
    ),
    ("FSS", "cascade_psp/fss_all", "cascade_psp/fss_all"),
    ("DUTS-TR", "cascade_psp/DUTS-TR", "cascade_psp/DUTS-TR"),
    ("DUTS-TE", "cascade_psp/DUTS-TE", "cascade_psp/DUTS-TE"),
    ("ECSSD", "cascade_psp/ecssd", "cascade_psp/ecssd"),
    ("MSRA10K", "cascade_psp/MSRA_10K", "cascade_psp/MSRA_10K"),
)


class Pair(NamedTuple):
    """Paths of an image, of its mask, and, where there is one, of its alpha matte."""

    image: str
    mask: str
    alpha: str | None = None


@dataclass(frozen=True, slots=True)
class PairFolder:
    """One set of images, each with one mask.

    Attributes:
        name: what it is called in messages.
        pairs: sorted.
        weight: how often each pair is seen in an epoch, or the set's share of the samples.
        missing: images that have no mask; they are left out.
    """

    name: str
    pairs: list[Pair]
    weight: float = 1.0
    missing: list[str] = field(default_factory=list)


def pair_folder(folder: Path, weight: float = 1.0) -> PairFolder:
    """The pairs of a folder: `images/` and `masks/`, `im/` and `gt/`, or .jpg beside .png, with equal stems.

    Raises:
        NoInputError: the folder holds no pair.
    """
    for images, masks in LAYOUTS:
        found = _pairs(folder.resolve().name, folder / images, folder / masks, weight)
        if found.pairs:
            return found
    raise NoInputError(f"{folder}: no pair in it; give a folder with images/ and masks/, im/ and gt/, or .jpg and .png")


def hqseg_folders(root: Path) -> tuple[list[PairFolder], list[str]]:
    """The sets of HQSeg-44K below `root`, and the image folders of those that are not there.

    Raises:
        NoInputError: none of them is there.
    """
    sets = [_pairs(name, root / images, root / masks, 1.0) for name, images, masks in HQSEG_44K]
    absent = [str(root / images) for (_, images, _), found in zip(HQSEG_44K, sets, strict=True) if not found.pairs]
    if len(absent) == len(sets):
        raise NoInputError(f"{root}: no set of HQSeg-44K in it; the first would be {absent[0]}")
    return [found for found in sets if found.pairs], absent


def _pairs(name: str, images: Path, masks: Path, weight: float) -> PairFolder:
    suffixes = FLAT_SUFFIXES if images == masks else IMAGE_SUFFIXES
    found = PairFolder(name, [], weight)
    for image in sorted(p for p in images.glob("*") if p.suffix.lower() in suffixes):
        mask, alpha = masks / f"{image.stem}.png", masks.parent / ALPHA / f"{image.stem}.png"
        if mask.is_file():
            found.pairs.append(Pair(str(image), str(mask), str(alpha) if alpha.is_file() else None))
        else:
            found.missing.append(str(image))
    return found


def read_pair(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """An image, uint8 RGB (H, W, 3) whatever it was stored as, and its mask, uint8 0 / 1 (H, W).

    Raises:
        ImageError: either cannot be read, they differ in size, or the mask is empty.
    """
    image = decoded_image(pair.image)
    try:
        mask = mask_pixels(Path(pair.mask), image.shape[1], image.shape[0])
    except ValueError as error:
        raise ImageError(f"{pair.mask}: {error}; make it a mask of {pair.image}, or leave both out") from None
    if not mask.any():
        raise ImageError(f"{pair.mask}: an empty mask; leave it and its image out")
    return image, mask.astype(np.uint8)


def read_alpha(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """An alpha matte, uint8 (H, W), of an image whose array has that shape.

    Raises:
        ImageError: it cannot be read, or is of another size.
    """
    alpha = decoded_image(path, exif="ignore").max(axis=2)
    if alpha.shape != shape[:2]:
        raise ImageError(f"{path}: of another size than its image; make it a matte of that image, or leave it out")
    return alpha
