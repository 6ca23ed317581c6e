"""From a file to RGB pixels, or to one sentence that says why not."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from ..configs import DEFAULT_MAX_PIXELS
from ..errors import ImageError
from .mend import mended, png_depth
from .places import Place, at
from .stand_ins import HEAD, describe_stand_in
from .suffixes import HEIF_SUFFIXES, IMAGE_SUFFIXES, OTHER_IMAGES
from .tiff import (
    ALPHAS,
    EXTRA,
    MIN_IS_WHITE,
    PHOTOMETRIC,
    bit_depth,
    eight_bits,
    is_misread,
    read_other_tiff,
)

# Decoders that a folder of photos needs; the rest of Pillow's are attack surface.
FORMATS: tuple[str, ...] = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "AVIF", "JPEG2000")
DEPTH, INVERTED, NO_ALPHA, ORIENTATION = "bit_depth", "min_is_white", "no_alpha", "orientation"  # in `info` of an image
WHITE = (255, 255, 255)
# Where a file begins like an image that no decoder takes, it is most likely damaged: place, bytes, what it is.
DAMAGED = (
    (0, b"II+\0", "a BigTIFF"),
    (0, b"MM\0+", "a BigTIFF"),
    (4, b"ftypavif", "an AVIF"),
    (0, b"\xff\xd8\xff", "a JPEG"),
    (0, b"\x89PNG", "a PNG"),
    (8, b"WEBP", "a WebP"),
)

# What brings stored pixels upright, and its inverse, by EXIF orientation; 1 and unknown values turn nothing.
TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_LEFT_RIGHT),
    3: (Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_180),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_TOP_BOTTOM),
    5: (Image.Transpose.TRANSPOSE, Image.Transpose.TRANSPOSE),
    6: (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_90),
    7: (Image.Transpose.TRANSVERSE, Image.Transpose.TRANSVERSE),
    8: (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270),
}

# What Pillow says of metadata and sizes is either an error of ours or of no use to people.
warnings.filterwarnings("ignore", module=r"PIL\.")
_limit = threading.Lock()

with suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()
    FORMATS = (*FORMATS, "HEIF")
READ_SUFFIXES = (*IMAGE_SUFFIXES, *(HEIF_SUFFIXES if "HEIF" in FORMATS else ()))


class MisreadError(Exception):
    """An image that Pillow reads, but not right."""


def read_image(path: str | Place, *, exif: str = "apply", max_pixels: int = DEFAULT_MAX_PIXELS) -> np.ndarray:
    """The pixels of a photo, uint8 RGB (H, W, 3).

    Gray and palette images become RGB, 16 bits become 8 by their full range, transparency lies on white as
    viewers show it, and an animation is its first frame.

    Args:
        path: of a file, an address, or the place of either.
        exif: `apply` turns the photo as its EXIF orientation says, `ignore` leaves it as stored.
        max_pixels: a larger image is refused from its header, before it is decoded.

    Raises:
        ImageError: the file cannot be read; the text names it and what to do.
    """
    with open_image(path, exif=exif, max_pixels=max_pixels) as image:
        return _rgb(image, at(path).path)


def read_stored(path: str) -> tuple[np.ndarray, Image.Transpose | None]:
    """The pixels of a photo as stored, uint8 RGB (H, W, 3), and what turns them upright as EXIF says, or None."""
    with open_image(path, exif="ignore", max_pixels=DEFAULT_MAX_PIXELS) as image:
        turns = TURNS.get(image.info.get(ORIENTATION, 1))
        return _rgb(image, path), None if turns is None else turns[0]


@contextmanager
def open_image(path: str | Place, *, exif: str, max_pixels: int) -> Iterator[Image.Image]:
    """The loaded image of a file; whatever goes wrong with it in the block is an ImageError.

    Args:
        path, exif, max_pixels: as in `read_image`.
    """
    place = at(path)
    path = place.path
    try:
        if os.path.isdir(path):
            raise _folder(path)
        if place.size() == 0:
            raise ImageError("the file is empty", file=path, remedy="fetch it again")
        _raise_pillow_limit(max_pixels)
        yield _read(place, exif, max_pixels)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        reason, remedy = f"over the limit of {max_pixels} pixels", "raise `max_pixels` if the file can be trusted"
        raise ImageError(reason, file=path, remedy=remedy) from None
    except UnidentifiedImageError:
        raise ImageError(_unknown(place), file=path) from None
    except FileNotFoundError:
        raise ImageError("no such file", file=path, remedy="check the path") from None
    # A damaged file makes decoders raise about anything, and it is always the file that is to blame.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise ImageError(f"cannot be read ({error.strerror})", file=path, remedy="check its permissions") from None
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"broken image ({reason})", file=path, remedy="fetch it again, or convert it to RGB") from None


def _read(place: Place, exif: str, max_pixels: int) -> Image.Image:
    """The loaded image of a file; if that fails, of what is sound in it."""
    with place.open() as file:  # not by its name: Pillow would map gray TIFF files, and then not turn them
        try:
            return _loaded(file, exif, max_pixels)
        except (Image.DecompressionBombError, MemoryError):
            raise
        except Exception as error:
            file.seek(0)
            content = file.read()
            sound = mended(content)
            if sound is not None:
                return _loaded(io.BytesIO(sound), exif, max_pixels)
            # Of what is damaged OpenCV would make whatever it can.
            unknown = isinstance(error, UnidentifiedImageError | MisreadError)
            other = read_other_tiff(content, place.path, max_pixels) if unknown else None
            if other is None:
                raise
            return other


def _loaded(file: BinaryIO, exif: str, max_pixels: int) -> Image.Image:
    with Image.open(file, formats=FORMATS) as image:
        if image.width * image.height > max_pixels:
            raise Image.DecompressionBombError
        if isinstance(image, TiffImagePlugin.TiffImageFile) and is_misread(image.tag_v2):
            raise MisreadError("colors of 16 bits")
        return _turned(image, exif)


def _unknown(place: Place) -> str:
    """What is wrong with a file that no decoder takes."""
    with place.open() as file:
        head = file.read(HEAD)
    if stand_in := describe_stand_in(head):
        return stand_in
    for offset, magic, kind in DAMAGED:
        if head[offset:].startswith(magic):
            reason = f"{kind} that is cut off or of a kind that is not read"
            return f"broken image ({reason}); fetch it again, or convert it to 8-bit RGB"
    suffix = os.path.splitext(place.path)[1].lower()
    if suffix in HEIF_SUFFIXES and "HEIF" not in FORMATS:
        return "HEIC is read with pillow-heif: pip install 'hqsam-cli[heif]'"
    if suffix in OTHER_IMAGES:
        return f"{suffix[1:].upper()} is not read; convert it to JPEG, PNG or TIFF"
    return f"not an image that can be read ({', '.join(FORMATS)}); convert it, or leave it out"


def _folder(path: str) -> ImageError:
    if os.access(path, os.R_OK | os.X_OK):
        return ImageError("a folder, not an image", file=path, remedy="give the folder itself as an input")
    return ImageError("a folder that cannot be read", file=path, remedy="check its permissions")


def _raise_pillow_limit(max_pixels: int) -> None:
    """Let Pillow open what the caller allows.

    Its limit is one for the whole process, and is looked at again while pixels are decoded; so it is raised as
    far as the largest image anybody allows, and never lifted. What is over the limit of one call is up to that call.
    """
    with _limit:
        if Image.MAX_IMAGE_PIXELS is not None:
            Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)


def _turned(image: Image.Image, exif: str) -> Image.Image:
    """The loaded image, upright for `apply` and as stored for `ignore`."""
    depth = _depth(image)  # first: looking for an orientation may load the image and close its file
    stored = _orientation(image)
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    inverted = tags.get(PHOTOMETRIC) == MIN_IS_WHITE and image.mode.startswith("I;16")
    no_alpha = bool(tags) and tags.get(EXTRA, 0) not in (*ALPHAS, (1,), (2,))
    image.load()
    image.info |= {DEPTH: depth, INVERTED: inverted, NO_ALPHA: no_alpha, ORIENTATION: stored}
    left = _orientation(image)
    if exif == "apply":
        return image.transpose(TURNS[left][0]) if left in TURNS else image
    # Pillow turns a TIFF while it loads it, and then takes the tag away.
    return image.transpose(TURNS[stored][1]) if stored in TURNS and left != stored else image


def _depth(image: Image.Image) -> int:
    """How many bits of a gray image of 16 bits are used: the file's own word, where it has one."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return bit_depth(image.tag_v2)
    if isinstance(image, PngImagePlugin.PngImageFile) and image.fp is not None:
        return png_depth(image.fp) or 16
    return 16


def image_size(path: str | Place) -> tuple[int, int] | None:
    """Width and height of an image as it is stored, from its header; None where it has none that can be read."""
    try:
        with at(path).head() as file, Image.open(file, formats=FORMATS) as image:
            return image.size
    except Exception:
        return None


def stored_orientation(path: str | Place) -> int:
    """The EXIF orientation of a photo; 1 where there is none, or it cannot be read."""
    place = at(path)
    try:
        try:
            with place.head() as file, Image.open(file, formats=FORMATS) as image:
                return _orientation(image)
        except Exception:
            with place.open() as file, Image.open(io.BytesIO(mended(file.read()) or b""), formats=FORMATS) as image:
                return _orientation(image)
    except Exception:
        return 1


def turn_of_masks(place: Place, exif: str) -> Image.Transpose | None:
    """What a mask needs that lies the other way than the photo is read; None of a photo that EXIF does not turn."""
    turns = TURNS.get(stored_orientation(place))
    return None if turns is None else turns[0 if exif == "apply" else 1]


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1, as stored, where there is none or it is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _rgb(image: Image.Image, path: str) -> np.ndarray:
    """Pixels of a loaded image as uint8 (H, W, 3)."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        gray = eight_bits(np.asarray(image), path, image.info.get(DEPTH, 16))
        return np.repeat((255 - gray if image.info.get(INVERTED) else gray)[..., None], 3, axis=2)
    if image.info.get(NO_ALPHA) and image.mode == "RGBA":
        return np.array(image)[..., :3]
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, WHITE)
        canvas.paste(image, mask=image.getchannel("A"))
        image = canvas
    return np.array(image.convert("RGB"))
