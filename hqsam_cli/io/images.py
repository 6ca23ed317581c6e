"""From a file to RGB pixels, or to one sentence that says why not."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from ..configs import DEFAULT_MAX_PIXELS
from ..errors import ImageError

# Decoders that a folder of photos needs; the rest of Pillow's are attack surface.
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")
WHITE = (255, 255, 255)

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


def read_image(path: str, *, exif: str = "apply", max_pixels: int = DEFAULT_MAX_PIXELS) -> np.ndarray:
    """The pixels of a photo, uint8 RGB (H, W, 3).

    Gray and palette images become RGB, 16 bits become 8 by their full range, transparency lies on white as
    viewers show it, and an animation is its first frame.

    Args:
        exif: `apply` turns the photo as its EXIF orientation says, `ignore` leaves it as stored.
        max_pixels: a larger image is refused from its header, before it is decoded.

    Raises:
        ImageError: the file cannot be read; the text names it and what to do.
    """
    with open_image(path, exif=exif, max_pixels=max_pixels) as image:
        return _rgb(image, path)


@contextmanager
def open_image(path: str, *, exif: str, max_pixels: int) -> Iterator[Image.Image]:
    """The loaded image of a file; whatever goes wrong with it in the block is an ImageError.

    Args:
        exif, max_pixels: as in `read_image`.
    """
    try:
        if os.path.isdir(path):
            raise ImageError(_folder(path))
        if os.path.getsize(path) == 0:
            raise ImageError(f"{path}: the file is empty; fetch it again")
        _raise_pillow_limit(max_pixels)
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise Image.DecompressionBombError
            yield _turned(image, exif)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        text = f"{path}: over the limit of {max_pixels} pixels; raise --max-pixels if the file can be trusted"
        raise ImageError(text) from None
    except UnidentifiedImageError:
        text = f"{path}: not an image that can be read ({', '.join(FORMATS)}); convert it, or leave it out"
        raise ImageError(text) from None
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file; check the path") from None
    # A damaged file makes decoders raise about anything, and it is always the file that is to blame.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise ImageError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{path}: broken image ({reason}); fetch it again, or convert it to RGB") from None


def _folder(path: str) -> str:
    if os.access(path, os.R_OK | os.X_OK):
        return f"{path}: a folder, not an image; give the folder itself as an input"
    return f"{path}: a folder that cannot be read; check its permissions"


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
    stored = _orientation(image)
    image.load()
    left = _orientation(image)
    if exif == "apply":
        return image.transpose(TURNS[left][0]) if left in TURNS else image
    # Pillow turns a TIFF while it loads it, and then takes the tag away.
    return image.transpose(TURNS[stored][1]) if stored in TURNS and left != stored else image


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1, as stored, where there is none or it is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _rgb(image: Image.Image, path: str) -> np.ndarray:
    """Pixels of a loaded image as uint8 (H, W, 3)."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return np.repeat(_eight_bits(np.asarray(image), path)[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, WHITE)
        canvas.paste(image, mask=image.getchannel("A"))
        image = canvas
    return np.array(image.convert("RGB"))


def _eight_bits(values: np.ndarray, path: str) -> np.ndarray:
    """Gray values (H, W) as 8 bits: 16 bits by their full range, 32 bits and floats by the range they use."""
    if values.dtype.itemsize == 2:
        return np.round(values / np.float32(257)).astype(np.uint8)
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageError(f"{path}: holds values that are no numbers; convert it to 8 bits first")
    low, high = float(values.min()), float(values.max())
    return np.round((values - low) * (255 / (high - low or 1.0))).astype(np.uint8)
