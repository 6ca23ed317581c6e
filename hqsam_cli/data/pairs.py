"""Folders of images and ground-truth masks, for evaluation and training."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..configs import DEFAULT_MAX_PIXELS, Exif
from ..errors import HqsamError, ImageError, NoInputError
from ..io.digest import file_digest
from ..io.files import InputFile
from ..io.images import READ_SUFFIXES, TURNS, read_oriented
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

    @property
    def samples_per_epoch(self) -> int:
        """Number of samples in a training epoch."""
        return max(1, round(self.weight * len(self.pairs)))

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
    found = None if layout is None else list_pairs(folder.resolve().name, *layout, exif=exif, skip_missing=True)
    if layout is None or found is None or not (found.pairs or found.missing):
        remedy = "pass a folder with images/ and masks/, im/ and gt/, or .jpg and .png"
        raise NoInputError("no image-mask pairs", file=folder, remedy=remedy)
    if not found.pairs:
        names = " and ".join(dict.fromkeys(f"{path.name}/" for path in layout))
        example = f"{found.missing[0].stem}.png"
        raise NoInputError(f"no image in {names} has a mask, such as {example}", file=folder, remedy="rename them")
    return replace(found, weight=weight)


def find_layout(folder: Path) -> tuple[Path, Path] | None:
    """The image and mask folders below a folder, or None."""
    for images, masks in LAYOUTS:
        flat = images == masks and any(path.suffix.lower() == ".png" for path in folder.glob("*.*"))
        if flat or (images != masks and (folder / images).is_dir() and (folder / masks).is_dir()):
            return folder / images, folder / masks
    return None


def list_pairs(
    name: str,
    images: Path,
    masks: Path,
    *,
    image_ending: str = "",
    mask_ending: str = "",
    coarse: Path | None = None,
    coarse_ending: str = "",
    exif: Exif = "apply",
    skip_missing: bool = False,
) -> ImageMaskFolder:
    """List the images of a folder, sorted by name, with the path of their mask, existing or not.

    Endings are between the stem of a pair and the file suffix. With `skip_missing`, images without a mask are not
    pairs. Raises an HqsamError if two images share a mask.
    """
    flat = images.samefile(masks)
    mask_suffixes, image_suffixes = ((".png",), FLAT_SUFFIXES) if flat else (READ_SUFFIXES, READ_SUFFIXES)
    unused = {path for path in masks.iterdir() if path.suffix.lower() in mask_suffixes and path.name[0] != "."}
    # Of several masks with one stem, PNG is preferred.
    ranked = sorted(unused, key=lambda path: (path.suffix.lower() != ".png", path.name), reverse=True)
    by_stem = {path.stem: path for path in ranked}
    # File systems differ in letter case and Unicode form.
    by_folded = {_folded(stem): path for stem, path in by_stem.items()}
    pairs: dict[str, Pair] = {}
    missing = []
    for image in sorted(path for path in images.iterdir() if path.suffix.lower() in image_suffixes):
        if image.name.startswith(".") or not image.stem.endswith(image_ending):
            continue
        stem = image.stem.removesuffix(image_ending)
        # `a.png`, or with another suffix, or `a.jpg.png`.
        names = (f"{stem}{mask_ending}", f"{image.name}{mask_ending}")
        mask = by_stem.get(names[0]) or by_stem.get(names[1]) or by_folded.get(_folded(names[0]))
        if skip_missing and (mask is None or not mask.is_file()):
            missing.append(image)
            continue
        if stem in pairs:
            raise HqsamError(f"{pairs[stem].image} and {image.name} have the same mask", remedy="remove one of them")
        alpha = masks.parent / ALPHA / f"{stem}.png"
        rough = None if coarse is None else coarse / f"{stem}{coarse_ending}.png"
        mask = mask or masks / f"{names[0]}.png"
        pairs[stem] = Pair(stem, image, mask, rough, alpha if alpha.is_file() else None, exif)
        unused.discard(mask)
    unmatched = sorted(path for path in unused if path.stem.endswith(mask_ending))
    nested = [] if flat else [path for path in images.glob("*/**/*") if path.suffix.lower() in READ_SUFFIXES]
    return ImageMaskFolder(name, list(pairs.values()), missing=missing, unmatched=unmatched, nested=nested)


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
    image, orientation = read_oriented(InputFile(str(path)), exif="ignore", max_pixels=DEFAULT_MAX_PIXELS)
    if orientation not in TURNS:
        return image
    upright = np.array(Image.fromarray(image).transpose(TURNS[orientation][0]))
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


def equal_images(data: Iterable[Path], val: Iterable[Path]) -> str:
    """A warning about validation images that are also training images, and training images given more than once.

    Empty if there are none. Images are compared by the SHA-256 of their files; only files of equal size are read.
    """
    places = [(path, name) for name, paths in (("data", data), ("val", val)) for path in paths]
    sizes = [path.stat().st_size for path, _ in places]
    common, first = Counter(sizes), dict[str, Path]()
    found: dict[str, list[tuple[Path, Path]]] = {"val": [], "data": []}
    for (path, name), size in zip(places, sizes, strict=True):
        digest = file_digest(path) if common[size] > 1 else ""
        if digest in first:
            found[name].append((path, first[digest]))
        elif digest and name == "data":
            first[digest] = path
    if not (examples := found["val"] + found["data"]):
        return ""
    counts = f"{len(found['val'])} of `val` are also in `data`, {len(found['data'])} are repeated in `data`"
    return f"equal images: {counts}, such as {examples[0][0]} and {examples[0][1]}"


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
    if values.max() <= THRESHOLD:
        raise ImageError("the mask is empty", file=path, remedy="remove it and its image")
