"""Folders of images and ground-truth masks, for evaluation and training."""

from __future__ import annotations

import logging
import unicodedata
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..configs import Exif
from ..errors import HqsamError, ImageError, NoInputError
from ..io.images import READ_SUFFIXES, read_stored
from ..io.masks import THRESHOLD, read_mask_values, read_matte

log = logging.getLogger(__name__)

# Folders of images and masks: own layout, DIS5K, and a single folder.
LAYOUTS = (("images", "masks"), ("im", "gt"), (".", "."))
FLAT_SUFFIXES = (".jpg", ".jpeg")  # of images in the folder of their masks
ALPHA = "alpha"  # folder of 8-bit alpha mattes, next to the mask folder


class Pair(NamedTuple):
    """An image, its mask, and optionally a coarse mask to refine and an alpha matte.

    If a mask fits the image in both orientations, `exif` tells whether it was drawn on the upright image (`apply`) or
    on the stored one (`ignore`).
    """

    name: str
    image: Path
    mask: Path
    coarse: Path | None = None
    alpha: Path | None = None
    exif: Exif = "apply"


@dataclass(frozen=True, slots=True)
class ImageMaskFolder:
    """Image-mask pairs, and skipped files: images without a mask or in subfolders, masks without an image.

    `weight` is the number of times each pair is used per training epoch.
    """

    name: str
    pairs: list[Pair]
    weight: float = 1.0
    missing: list[Path] = field(default_factory=list)
    unmatched: list[Path] = field(default_factory=list)
    nested: list[Path] = field(default_factory=list)

    def problems(self) -> list[str]:
        """One message per kind of skipped files."""
        kinds = (
            ("images without a mask, skipped", self.missing),
            ("images in subfolders, skipped", self.nested),
            ("masks without an image", self.unmatched),
        )
        return [f"{self.name}: {kind}: {len(paths)}, first {paths[0]}" for kind, paths in kinds if paths]


def find_pairs(folder: Path, weight: float = 1.0, exif: Exif = "apply") -> ImageMaskFolder:
    """Find the pairs of a folder: `images/` and `masks/`, `im/` and `gt/`, or .jpg and .png files, with equal stems.

    Raises a NoInputError if there is no pair, or an HqsamError if two images share a mask.
    """
    layout = find_layout(folder)
    pairs = [] if layout is None else list_pairs(*layout, exif=exif)
    if layout is None or not pairs:
        remedy = "pass a folder with images/ and masks/, im/ and gt/, or .jpg and .png"
        raise NoInputError("no image-mask pairs", file=folder, remedy=remedy)
    unmatched, nested = unmatched_masks(pairs, *layout), nested_images(*layout)
    found = split_pairs(ImageMaskFolder(folder.resolve().name, pairs, weight, unmatched=unmatched, nested=nested))
    if not found.pairs:
        names = " and ".join(dict.fromkeys(f"{path.name}/" for path in layout))
        example = f"{pairs[0].image.stem}.png"
        raise NoInputError(f"no image in {names} has a mask, such as {example}", file=folder, remedy="rename them")
    return found


def find_layout(folder: Path) -> tuple[Path, Path] | None:
    """The image and mask folders below a folder, or None."""
    for images, masks in LAYOUTS:
        flat = images == masks and any(path.suffix.lower() == ".png" for path in folder.glob("*.*"))
        if flat or (images != masks and (folder / images).is_dir() and (folder / masks).is_dir()):
            return folder / images, folder / masks
    return None


def split_pairs(folder: ImageMaskFolder) -> ImageMaskFolder:
    """Keep only pairs whose mask exists; images of the others become `missing`."""
    complete: list[Pair] = []
    missing: list[Path] = []
    for pair in folder.pairs:
        if pair.mask.is_file():
            complete.append(pair)
        else:
            missing.append(pair.image)
    return replace(folder, pairs=complete, missing=missing)


def unmatched_masks(pairs: list[Pair], images: Path, masks: Path, *, ending: str = "") -> list[Path]:
    """Masks in a folder without an image."""
    used = {pair.mask for pair in pairs}
    return [path for path in _mask_files(images, masks) if path.stem.endswith(ending) and path not in used]


def _mask_files(images: Path, masks: Path) -> list[Path]:
    """Image files in a mask folder, PNG first; only PNG if it is also the image folder."""
    suffixes = (".png",) if images.samefile(masks) else READ_SUFFIXES
    found = [path for path in masks.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    return sorted(found, key=lambda path: (path.suffix.lower() != ".png", path.name))


def nested_images(images: Path, masks: Path) -> list[Path]:
    """Images in subfolders of the image folder."""
    if images.samefile(masks):
        return []
    return [path for path in images.glob("*/**/*") if path.suffix.lower() in READ_SUFFIXES]


def list_pairs(
    images: Path,
    masks: Path,
    *,
    image_ending: str = "",
    mask_ending: str = "",
    coarse: Path | None = None,
    coarse_ending: str = "",
    exif: Exif = "apply",
) -> list[Pair]:
    """All images of a folder, sorted by name, with the path of their mask, existing or not.

    Endings are between the stem of a pair and the file suffix. Raises an HqsamError if two images share a mask.
    """
    suffixes = FLAT_SUFFIXES if images.samefile(masks) else READ_SUFFIXES
    by_stem = {path.stem: path for path in reversed(_mask_files(images, masks))}
    # File systems differ in letter case and Unicode form.
    by_folded = {_folded(stem): path for stem, path in by_stem.items()}
    pairs: dict[str, Pair] = {}
    for image in sorted(path for path in images.iterdir() if path.suffix.lower() in suffixes):
        if image.name.startswith(".") or not image.stem.endswith(image_ending):
            continue
        stem = image.stem.removesuffix(image_ending)
        if stem in pairs:
            raise HqsamError(f"{pairs[stem].image} and {image.name} have the same mask", remedy="remove one of them")
        alpha = masks.parent / ALPHA / f"{stem}.png"
        rough = None if coarse is None else coarse / f"{stem}{coarse_ending}.png"
        # `a.png`, or with another suffix, or `a.jpg.png`.
        names = (f"{stem}{mask_ending}", f"{image.name}{mask_ending}")
        found = next((by_stem[name] for name in names if name in by_stem), by_folded.get(_folded(names[0])))
        mask = found or masks / f"{names[0]}.png"
        pairs[stem] = Pair(stem, image, mask, rough, alpha if alpha.is_file() else None, exif)
    return list(pairs.values())


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def read_pair(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Read an image, uint8 RGB (H, W, 3), and its mask, uint8 0 to 255 (H, W), not empty (some value above 128).

    The orientation of the image is the one that fits the size of the mask; if both fit, `pair.exif` decides. Raises an
    ImageError if either cannot be read, they differ in size, or the mask is empty.
    """
    values = read_mask_values(pair.mask)
    image = read_fitting(pair.image, values.shape, pair.exif)
    check_mask(pair.mask, values, image)
    return image, values


def read_fitting(path: Path, shape: tuple[int, ...], exif: Exif) -> np.ndarray:
    """Read an image, uint8 RGB (H, W, 3), in the orientation that fits the shape (H, W) of its ground truth.

    If both fit, `exif` decides, which is logged once.
    """
    image, turn = read_stored(str(path))
    if turn is None:
        return image
    upright = np.array(Image.fromarray(image).transpose(turn))
    if upright.shape[:2] != shape:
        return image
    if image.shape[:2] == shape:
        _warn_ambiguous(exif)
        return upright if exif == "apply" else image
    return upright


@cache
def _warn_ambiguous(exif: Exif) -> None:
    how = "upright" if exif == "apply" else "as stored"
    log.warning("photos with an EXIF orientation whose masks fit both orientations are read %s (`exif` %s)", how, exif)


def check_readable(folder: ImageMaskFolder) -> None:
    """Raise an HqsamError unless at least one pair can be read."""
    problem = "it has no pairs"
    for pair in folder.pairs:
        try:
            read_pair(pair)
            return
        except ImageError as error:
            problem = str(error)
    raise HqsamError("no image-mask pair can be read", file=folder.name, remedy=f"the last: {problem}")


def read_alpha(path: Path, image: np.ndarray) -> np.ndarray:
    """Read the alpha matte of an image (H, W, 3), uint8 (H, W). Raises an ImageError."""
    alpha = read_matte(path)
    check_same_size(path, alpha, image)
    return alpha


def check_same_size(path: Path, mask: np.ndarray, image: np.ndarray) -> None:
    """Raise an ImageError unless a mask has the size of its image."""
    if mask.shape != image.shape[:2]:
        (height, width), (mask_height, mask_width) = image.shape[:2], mask.shape
        raise ImageError(f"the mask is {mask_width}x{mask_height}, its image {width}x{height}", file=path)


def check_mask(path: Path, values: np.ndarray, image: np.ndarray) -> None:
    """Raise an ImageError unless a mask has the size of its image and is not empty."""
    check_same_size(path, values, image)
    if not (values > THRESHOLD).any():
        raise ImageError("the mask is empty", file=path, remedy="remove it and its image")
