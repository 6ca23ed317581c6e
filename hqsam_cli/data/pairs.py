"""Images and their ground-truth masks, as they lie in folders; `eval` and `train` read them the same way."""

from __future__ import annotations

import logging
import unicodedata
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..configs import DEFAULT_MAX_PIXELS, Exif
from ..errors import HqsamError, ImageError, NoInputError
from ..io.images import READ_SUFFIXES, read_stored
from ..io.masks import THRESHOLD, read_mask_values, read_matte

log = logging.getLogger(__name__)

# Folder of the images and folder of the masks: ours, DIS5K's, and masks lying beside their images.
LAYOUTS = (("images", "masks"), ("im", "gt"), (".", "."))
FLAT_SUFFIXES = (".jpg", ".jpeg")  # where masks, which are .png, lie in the same folder
ALPHA = "alpha"  # beside the folder of the masks, 8-bit mattes of some or all images


class Pair(NamedTuple):
    """An image and its mask; where there are some, a coarse mask to refine and an alpha matte.

    `exif` says whether a mask that would fit the photo both ways was drawn on the upright one (`apply`) or on the
    stored one (`ignore`).
    """

    name: str
    image: Path
    mask: Path
    coarse: Path | None = None
    alpha: Path | None = None
    exif: Exif = "apply"


@dataclass(frozen=True, slots=True)
class ImageMaskFolder:
    """One set of images, each with one mask.

    Attributes:
        name: what it is called in messages.
        pairs: in the order of their names.
        weight: how often each pair is seen in an epoch of training.
        missing: images that have no mask; they are left out.
        idle: masks that have no image.
        nested: images in folders below, which are left out.
    """

    name: str
    pairs: list[Pair]
    weight: float = 1.0
    missing: list[Path] = field(default_factory=list)
    idle: list[Path] = field(default_factory=list)
    nested: list[Path] = field(default_factory=list)


def find_pairs(folder: Path, weight: float = 1.0, exif: Exif = "apply") -> ImageMaskFolder:
    """The pairs of a folder: `images/` and `masks/`, `im/` and `gt/`, or .jpg beside .png, with equal stems.

    Raises:
        NoInputError: the folder holds no pair.
        HqsamError: two images share a mask.
    """
    layout = find_layout(folder)
    if layout is not None:
        pairs = list_pairs(*layout, exif=exif)
        found = split_pairs(folder.resolve().name, pairs, weight)
        if found.pairs:
            return replace(found, idle=idle_masks(pairs, *layout), nested=nested_images(*layout))
        if pairs:
            names = " and ".join(dict.fromkeys(f"{path.name}/" for path in layout))
            raise NoInputError(
                f"no image in {names} has a file as its mask, such as {pairs[0].image.stem}.png",
                file=folder,
                remedy="rename them",
            )
    raise NoInputError(
        "no pair in it", file=folder, remedy="give a folder with images/ and masks/, im/ and gt/, or .jpg and .png"
    )


def find_layout(folder: Path) -> tuple[Path, Path] | None:
    """The folders of the images and of the masks below a folder, or None where it has neither."""
    for images, masks in LAYOUTS:
        flat = images == masks and any(path.suffix.lower() == ".png" for path in folder.glob("*.*"))
        if flat or (images != masks and (folder / images).is_dir() and (folder / masks).is_dir()):
            return folder / images, folder / masks
    return None


def split_pairs(name: str, pairs: list[Pair], weight: float = 1.0) -> ImageMaskFolder:
    """A set of the pairs whose masks are there, and of the images that lack theirs."""
    whole = [pair for pair in pairs if pair.mask.is_file()]
    return ImageMaskFolder(name, whole, weight, [pair.image for pair in pairs if not pair.mask.is_file()])


def idle_masks(pairs: list[Pair], images: Path, masks: Path, *, ending: str = "") -> list[Path]:
    """Files of a folder of masks that are of none of the images."""
    used = {pair.mask for pair in pairs}
    return [path for path in _files_of_masks(images, masks) if path.stem.endswith(ending) and path not in used]


def _files_of_masks(images: Path, masks: Path) -> list[Path]:
    """What lies in a folder of masks, PNG first; beside its images a mask is a PNG."""
    suffixes = (".png",) if images.samefile(masks) else READ_SUFFIXES
    found = [path for path in masks.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    return sorted(found, key=lambda path: (path.suffix.lower() != ".png", path.name))


def _alike(name: str) -> str:
    """A name without regard to letter case and Unicode form."""
    return unicodedata.normalize("NFC", name).casefold()


def nested_images(images: Path, masks: Path) -> list[Path]:
    """Images in folders below that of the images, which are not looked for."""
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
    """All images of a folder in the order of their names, each with where its mask should be.

    Args:
        image_ending, mask_ending, coarse_ending: what the names have between the stem of a pair and the suffix.
        coarse: folder of coarse masks.

    Raises:
        HqsamError: two images share a mask.
    """
    suffixes = FLAT_SUFFIXES if images.samefile(masks) else READ_SUFFIXES
    known: dict[str, Path] = {}
    for path in _files_of_masks(images, masks):
        known.setdefault(path.stem, path)
    pairs: dict[str, Pair] = {}
    alike = {_alike(stem): path for stem, path in known.items()}
    for image in sorted(path for path in images.iterdir() if path.suffix.lower() in suffixes):
        if image.name.startswith("."):
            continue
        if not image.stem.endswith(image_ending):
            continue
        stem = image.stem.removesuffix(image_ending)
        if stem in pairs:
            raise HqsamError(
                f"{pairs[stem].image} and {image.name} would have the same mask", remedy="take one of them away"
            )
        alpha = masks.parent / ALPHA / f"{stem}.png"
        rough = None if coarse is None else coarse / f"{stem}{coarse_ending}.png"
        # `a.png` or another kind of file of that stem, or `a.jpg.png`.
        names = (f"{stem}{mask_ending}", f"{image.name}{mask_ending}")
        found = next((known[name] for name in names if name in known), alike.get(_alike(names[0])))
        mask = found or masks / f"{names[0]}.png"
        pairs[stem] = Pair(stem, image, mask, rough, alpha if alpha.is_file() else None, exif)
    return list(pairs.values())


def read_pair(pair: Pair, max_pixels: int = DEFAULT_MAX_PIXELS) -> tuple[np.ndarray, np.ndarray]:
    """An image, uint8 RGB (H, W, 3), and the values of its mask, uint8 0 to 255 (H, W), over 128 somewhere.

    A photo and its mask are turned together or not at all: a mask that was drawn on the upright photo shows it by its
    size, and then the photo is turned; where both sizes are equal, `pair.exif` decides, which is logged once.

    Raises:
        ImageError: either cannot be read, they differ in size, or the mask is empty.
    """
    values = read_mask_values(pair.mask, max_pixels)
    image = read_fitting(pair.image, values.shape, pair.exif, max_pixels)
    check_same_size(pair.mask, values, image)
    check_not_empty(pair.mask, values)
    return image, values


def read_fitting(path: Path, shape: tuple[int, ...], exif: Exif, max_pixels: int = DEFAULT_MAX_PIXELS) -> np.ndarray:
    """A photo, uint8 RGB (H, W, 3), turned so that it fits what was drawn on it: a mask or boxes on (H, W) pixels.

    Args:
        exif: what decides where it fits both ways.
    """
    image, turn = read_stored(str(path), max_pixels)
    if turn is None:
        return image
    upright = np.array(Image.fromarray(image).transpose(turn))
    if upright.shape[:2] != shape:
        return image
    if image.shape[:2] == shape:
        _say_undecided(exif)
        return upright if exif == "apply" else image
    return upright


@cache
def _say_undecided(exif: Exif) -> None:
    how = "upright, as `exif` apply" if exif == "apply" else "as they are stored, as `exif` ignore"
    log.warning("photos that EXIF turns, whose masks would fit both ways, are read %s has it", how)


def read_image_and_mask(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """An image, uint8 RGB (H, W, 3), and its mask, uint8 0 / 1 (H, W); see `read_pair`."""
    image, values = read_pair(pair)
    return image, (values > THRESHOLD).astype(np.uint8)


def check_readable(folder: ImageMaskFolder) -> None:
    """Raise an HqsamError if not one pair of a set can be read; stops at the first that can."""
    problem = "it has none"
    for pair in folder.pairs:
        try:
            read_pair(pair)
            return
        except ImageError as error:
            problem = str(error)
    raise HqsamError("no pair of it can be read", file=folder.name, remedy=f"the last: {problem}")


def read_alpha(path: Path, image: np.ndarray) -> np.ndarray:
    """The alpha matte of an image (H, W, 3), uint8 (H, W).

    Raises:
        ImageError: it cannot be read, or is of another size.
    """
    alpha = read_matte(path)
    check_same_size(path, alpha, image)
    return alpha


def check_same_size(path: Path, mask: np.ndarray, image: np.ndarray) -> None:
    """Raise an ImageError unless a mask has the size of its image."""
    if mask.shape != image.shape[:2]:
        (height, width), (mask_height, mask_width) = image.shape[:2], mask.shape
        raise ImageError(f"the mask is {mask_width}x{mask_height}, its photo {width}x{height}", file=path)


def check_not_empty(path: Path, values: np.ndarray) -> None:
    """Raise an ImageError unless a mask has an object."""
    if not (values > THRESHOLD).any():
        raise ImageError("the mask is empty", file=path, remedy="leave it and its photo out")
