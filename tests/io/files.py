"""Small files to try."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

import numpy as np
from PIL import Image


def photo(side: int = 16, kind: str = "PNG", exif: int | None = None) -> bytes:
    """An image file of colors that tell its corners apart."""
    pixels = np.zeros((side, 2 * side, 3), np.uint8)
    pixels[: side // 2] = (200, 30, 10)
    content = io.BytesIO()
    tags = Image.Exif()
    if exif is not None:
        tags[0x0112] = exif
    Image.fromarray(pixels).save(content, kind, exif=tags)
    return content.getvalue()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A tar of files."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, own in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(own)
            tar.addfile(info, io.BytesIO(own))
    return content.getvalue()
