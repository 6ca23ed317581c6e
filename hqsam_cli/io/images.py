"""Decode image files to RGB pixels, or report why they cannot be read."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import IO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from ..configs import DEFAULT_MAX_PIXELS
from ..errors import ImageError, first_line
from . import tiff
from .file_types import HEAD, HEIF_SUFFIXES, IMAGE_SUFFIXES, OTHER_IMAGES, TIFF_SUFFIXES, describe_placeholder
from .files import InputFile, input_file
from .repair import png_depth, repaired

# Decoders needed for photos; Pillow's other decoders are attack surface.
FORMATS: tuple[str, ...] = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "AVIF", "JPEG2000")
DEPTH, INVERTED, NO_ALPHA, ORIENTATION = "bit_depth", "min_is_white", "no_alpha", "orientation"  # keys of `Image.info`
WHITE = (255, 255, 255)
# Files with these magic bytes that cannot be decoded are most likely damaged: offset, bytes, format.
DAMAGED = (
    (0, b"II+\0", "a BigTIFF"),
    (0, b"MM\0+", "a BigTIFF"),
    (4, b"ftypavif", "an AVIF"),
    (0, b"\xff\xd8\xff", "a JPEG"),
    (0, b"\x89PNG", "a PNG"),
    (8, b"WEBP", "a WebP"),
)

# Transpose that turns stored pixels upright, and its inverse, by EXIF orientation; none for 1 and unknown values.
TRANSPOSED = 5  # the first orientation that swaps width and height
TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_LEFT_RIGHT),
    3: (Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_180),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_TOP_BOTTOM),
    5: (Image.Transpose.TRANSPOSE, Image.Transpose.TRANSPOSE),
    6: (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_90),
    7: (Image.Transpose.TRANSVERSE, Image.Transpose.TRANSVERSE),
    8: (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270),
}

# Pillow's warnings about metadata are irrelevant to users, and those about sizes are errors here.
warnings.filterwarnings("ignore", module=r"PIL\.")
_limit = threading.Lock()

with suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()
    FORMATS = (*FORMATS, "HEIF")
READ_SUFFIXES = (*IMAGE_SUFFIXES, *(HEIF_SUFFIXES if "HEIF" in FORMATS else ()))


class ImageHeader(NamedTuple):
    """Width and height in pixels, as stored, and EXIF orientation, 1 to 8; 1 if there is none."""

    width: int
    height: int
    orientation: int

    def size(self, exif: str) -> tuple[int, int]:
        """(width, height) as returned by `read_image`."""
        turned = exif == "apply" and self.orientation in TURNS and self.orientation >= TRANSPOSED
        return (self.height, self.width) if turned else (self.width, self.height)


def read_image(path: str | InputFile, *, exif: str = "apply", max_pixels: int = DEFAULT_MAX_PIXELS) -> np.ndarray:
    """Read the pixels of a photo, uint8 RGB (H, W, 3).

    Gray and palette images become RGB, 16 bits are scaled to 8 by their full range, transparency is composited on
    white, and of an animation, the first frame is read.

    Args:
        path: a path, a URL, or an `InputFile`.
        exif: `apply` rotates and flips the photo by its EXIF orientation, `ignore` leaves it as stored.
        max_pixels: larger images are rejected by their header, before decoding.

    Raises:
        ImageError: the file cannot be read; the message names it and a remedy.
    """
    return read_oriented(input_file(path), exif=exif, max_pixels=max_pixels)[0]


def read_oriented(file: InputFile, *, exif: str, max_pixels: int) -> tuple[np.ndarray, int]:
    """Read the pixels of a photo, see `read_image`, and its EXIF orientation."""
    with open_image(file, exif=exif, max_pixels=max_pixels) as image:
        return _rgb(image, file.path), image.info[ORIENTATION]


@contextmanager
def open_image(file: InputFile, *, exif: str, max_pixels: int) -> Iterator[Image.Image]:
    """Load an image; any error in the block is raised as an ImageError. Arguments as in `read_image`."""
    path = file.path
    try:
        if os.path.isdir(path):
            if os.access(path, os.R_OK | os.X_OK):
                raise ImageError("a folder, not an image", file=path, remedy="pass the folder itself as an input")
            raise ImageError("a folder that cannot be read", file=path, remedy="check its permissions")
        if not file.content:
            raise ImageError("the file is empty", file=path, remedy="download it again")
        _raise_pillow_limit(max_pixels)
        yield _decode(file, exif, max_pixels)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        remedy = "raise `max_pixels` if you trust the file"
        if path.lower().endswith(TIFF_SUFFIXES) and find_spec("rasterio") is None:
            remedy += ", or pip install 'hqsam-cli[geo]' to read it in windows"
        raise ImageError(f"more than {max_pixels} pixels", file=path, remedy=remedy) from None
    except UnidentifiedImageError:
        raise ImageError(_unidentified(file), file=path) from None
    except FileNotFoundError:
        raise ImageError("no such file", file=path, remedy="check the path") from None
    # Decoders raise all kinds of exceptions for damaged files.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            detail, remedy = error.strerror or "", "check its permissions"
            raise ImageError("cannot be read", file=path, detail=detail, remedy=remedy) from None
        remedy = "download it again, or convert it to RGB"
        raise ImageError("broken image", file=path, detail=first_line(error), remedy=remedy) from None


def _decode(file: InputFile, exif: str, max_pixels: int) -> Image.Image:
    """Load an image; if that fails, the repaired file, or with OpenCV."""
    try:
        return _load(file.content, exif, max_pixels)
    except (Image.DecompressionBombError, MemoryError):
        raise
    except Exception as error:
        valid = repaired(file.content)
        if valid is not None:
            return _load(valid, exif, max_pixels)
        if not isinstance(error, UnidentifiedImageError):  # OpenCV would decode damaged files without an error
            raise
        image = tiff.read_other_tiff(file.content, file.path, max_pixels)
        if image is None:
            raise
        image.info[ORIENTATION] = 1
        return image


def _load(content: bytes, exif: str, max_pixels: int) -> Image.Image:
    """Load an image: upright if `exif` is `apply`, as stored if it is `ignore`."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if image.width * image.height > max_pixels:
            raise Image.DecompressionBombError
        tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
        if tags and tiff.is_misread(tags):
            raise UnidentifiedImageError  # Pillow would decode wrong colors
        depth = tiff.bit_depth(tags) if tags else 16
        if isinstance(image, PngImagePlugin.PngImageFile) and image.fp is not None:
            depth = png_depth(image.fp) or 16
        stored = _orientation(image)  # after the depth: this may load the image and close its file
        inverted = tags.get(tiff.PHOTOMETRIC) == tiff.MIN_IS_WHITE and image.mode.startswith("I;16")
        no_alpha = bool(tags) and tags.get(tiff.EXTRA, 0) not in (*tiff.ALPHAS, (1,), (2,))
        image.load()
        image.info |= {DEPTH: depth, INVERTED: inverted, NO_ALPHA: no_alpha, ORIENTATION: stored}
        # Pillow turns a TIFF while it loads it, and then removes the tag.
        turned = bool(tags) and _orientation(image) != stored
        if stored not in TURNS or turned == (exif == "apply"):
            return image
        return image.transpose(TURNS[stored][1 if turned else 0])


def _unidentified(file: InputFile) -> str:
    """Describe a file that no decoder recognizes."""
    if placeholder := describe_placeholder(file.content[:HEAD]):
        return placeholder
    for offset, magic, kind in DAMAGED:
        if file.content.startswith(magic, offset):
            reason = f"broken image ({kind} that is truncated or of an unsupported kind)"
            return f"{reason}; download it again, or convert it to 8-bit RGB"
    suffix = os.path.splitext(file.path)[1].lower()
    if suffix in HEIF_SUFFIXES and "HEIF" not in FORMATS:
        return "HEIC is read with pillow-heif: pip install 'hqsam-cli[heif]'"
    if suffix in OTHER_IMAGES:
        return f"{suffix[1:].upper()} is not supported; convert it to JPEG, PNG or TIFF"
    return f"not a supported image ({', '.join(FORMATS)}); convert it, or omit it"


def _raise_pillow_limit(max_pixels: int) -> None:
    """Raise Pillow's pixel limit, which is global; it is never lowered."""
    with _limit:
        if Image.MAX_IMAGE_PIXELS is not None:
            Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)


def read_header(path: str | InputFile) -> ImageHeader | None:
    """Read the header of an image, and the rest only if needed; None if it has no valid header."""
    file = input_file(path)
    for opened in (file.head, lambda: io.BytesIO(file.content), lambda: io.BytesIO(repaired(file.content) or b"")):
        with suppress(Exception), opened() as stream, _headed(stream) as image:
            return ImageHeader(*image.size, _orientation(image))
    return None


def _headed(stream: IO[bytes]) -> Image.Image:
    """An image that is not to be loaded; of a TIFF, Pillow's limit of pixels does not matter."""
    try:
        return Image.open(stream, formats=FORMATS)
    except Image.DecompressionBombError:
        stream.seek(0)
        return TiffImagePlugin.TiffImageFile(stream)


def mask_turn(orientation: int, exif: str) -> Image.Transpose | None:
    """Transpose that aligns a mask drawn in the other orientation than the photo is read in, or None."""
    turns = TURNS.get(orientation)
    return None if turns is None else turns[0 if exif == "apply" else 1]


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1 if there is none or it is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _rgb(image: Image.Image, path: str) -> np.ndarray:
    """Pixels of a loaded image as uint8 (H, W, 3)."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        gray = tiff.eight_bits(np.asarray(image), path, image.info.get(DEPTH, 16))
        return np.repeat((255 - gray if image.info.get(INVERTED) else gray)[..., None], 3, axis=2)
    if image.info.get(NO_ALPHA) and image.mode == "RGBA":
        return np.array(image)[..., :3]
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, WHITE)
        canvas.paste(image, mask=image.getchannel("A"))
        image = canvas
    return np.array(image.convert("RGB"))
