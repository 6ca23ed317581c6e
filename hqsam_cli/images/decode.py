"""From a file to RGB pixels, or to one sentence that says why not."""

from __future__ import annotations

import os
import threading

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import ImageError

# Decoders that a folder of photos needs; the rest of Pillow's are attack surface.
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")
DEFAULT_MAX_PIXELS = 200_000_000
WHITE = (255, 255, 255)
_opening = threading.Lock()


def decoded_image(path: str, *, exif: str = "apply", max_pixels: int = DEFAULT_MAX_PIXELS) -> np.ndarray:
    """The pixels of a photo, uint8 RGB (H, W, 3).

    Grey and palette images become RGB, 16 bits become 8 by their full range, transparency lies on white as
    viewers show it, and an animation is its first frame.

    Args:
        exif: `apply` turns the photo as its EXIF orientation says, `ignore` leaves it as stored.
        max_pixels: a larger image is refused from its header, before it is decoded.

    Raises:
        ImageError: the file cannot be read; the text names it and what to do.
    """
    try:
        if os.path.isdir(path):
            raise ImageError(f"{path}: a folder, not an image; give the folder itself as an input")
        if os.path.getsize(path) == 0:
            raise ImageError(f"{path}: the file is empty; fetch it again")
        with _opened(path) as image:
            if image.width * image.height > max_pixels:
                raise ImageError(
                    f"{path}: {image.width} x {image.height} pixels are over the limit of {max_pixels}; "
                    "raise --max-pixels if the file can be trusted"
                )
            image.load()
            return _rgb(ImageOps.exif_transpose(image) if exif == "apply" else image, path)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except PermissionError:
        raise ImageError(f"{path}: no permission to read it") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not an image that can be read ({', '.join(FORMATS)})") from None
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{path}: broken image ({reason}); fetch it again") from None


def _opened(path: str) -> Image.Image:
    """The image with its header read, whatever its size.

    Pillow's own limit is a global that warns at 89 megapixels and fails at twice that; ours, which follows
    from the same header, is checked by the caller before any pixel is decoded.
    """
    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _rgb(image: Image.Image, path: str) -> np.ndarray:
    """Pixels of an opened image as uint8 (H, W, 3)."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return np.repeat(_eight_bits(np.asarray(image), path)[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, WHITE)
        canvas.paste(image, mask=image.getchannel("A"))
        image = canvas
    return np.array(image.convert("RGB"))


def _eight_bits(values: np.ndarray, path: str) -> np.ndarray:
    """Grey values of 16 bits or more, (H, W), as 8 bits: over 0 to 65535, or over their own range if beyond it."""
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageError(f"{path}: holds values that are no numbers; convert it to 8 bits first")
    low, high = min(0.0, float(values.min())), max(65535.0, float(values.max()))
    return np.round((values - low) * (255 / (high - low))).astype(np.uint8)
