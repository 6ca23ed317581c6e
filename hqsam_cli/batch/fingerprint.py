"""Fingerprints of images: their pixels and prompts, on which results depend besides the run identity.

Only content counts; size and modification time just avoid reading unchanged files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ImageError
from ..io.address_folder import AT_ONCE
from ..io.addresses import UNKNOWN
from ..io.files import InputFile
from ..io.find import SourceImage
from ..io.tars import gone_images
from ..records import ImagePrompts

UNREADABLE = "unreadable"
LENGTH = 16  # of a digest
ADDED = ("input_box",)  # fields of prompts that are left out where None: digests of earlier versions have no such key


class Fingerprint(NamedTuple):
    """The fingerprint of one image.

    Attributes:
        stamp: size and modification time of its file, or their equivalent at a URL.
        content: digest of its file.
        prompts: digest of its prompts.
    """

    stamp: str
    content: str
    prompts: str

    def __str__(self) -> str:
        """Format for the journal."""
        return " ".join(self)

    @classmethod
    def parse(cls, text: str) -> Fingerprint | None:
        """Parse the journal format; None if invalid."""
        parts = text.split(" ")
        return cls(*parts) if len(parts) == len(cls._fields) else None


def take_fingerprint(file: InputFile, prompts: ImagePrompts) -> Fingerprint:
    """Compute the current fingerprint of an image; reads its file."""
    return Fingerprint(_readable(file.stamp), _readable(file.digest)[:LENGTH], prompts_digest(prompts))


def renewed(known: str, source: SourceImage, prompts: ImagePrompts | None) -> str | None:
    """Return a fingerprint with the image's current stamp, or None if the image changed.

    The file is only read if the stamp changed.

    Args:
        prompts: of the image; None if they do not count.
    """
    old = Fingerprint.parse(known)
    if old is None or old.content == UNREADABLE or (prompts is not None and old.prompts != prompts_digest(prompts)):
        return None
    stamp = _readable(source.file().stamp)
    if old.stamp == stamp != UNKNOWN:
        return known
    if old.content != _readable(source.file().digest)[:LENGTH]:
        return None
    return known if stamp in (UNKNOWN, UNREADABLE) else str(old._replace(stamp=stamp))


def has_same_file(known: str, other: str) -> bool:
    """Whether two fingerprints are of files with the same content."""
    one, two = Fingerprint.parse(known), Fingerprint.parse(other)
    return one is not None and two is not None and one.content == two.content


def stamped(images: Sequence[SourceImage]) -> list[SourceImage]:
    """Add stamps that listings lack, as over HTTP; requested in parallel."""
    unknown = [image for image in images if image.location is not None and image.location.stamp is None]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        stamps = dict(zip(unknown, pool.map(lambda image: _readable(image.file().stamp), unknown), strict=True))
    return [
        replace(image, location=replace(image.location, stamp=stamps[image]))
        if image.location and image in stamps
        else image
        for image in images
    ]


def is_unknown(known: str, path: str) -> bool:
    """Whether an image could not be read for its fingerprint, but is not known to be deleted."""
    fingerprint = Fingerprint.parse(known)
    return fingerprint is not None and fingerprint.content == UNREADABLE and not gone_images([path])


def prompts_digest(prompts: ImagePrompts) -> str:
    """Digest of all prompts of an image, including the content of mask files."""
    said = {name: value for name, value in asdict(prompts).items() if name not in ("dropped", "mentioned")}
    return hashlib.sha256(repr(_plain(said, {})).encode("utf-8", "surrogateescape")).hexdigest()[:LENGTH]


def _plain(value: Any, digests: dict[Path, str]) -> Any:
    """Convert a value to one with a complete `repr`; `digests` of files are filled in, so that each is read once."""
    if isinstance(value, dict):
        return {key: _plain(item, digests) for key, item in value.items() if item is not None or key not in ADDED}
    if isinstance(value, list | tuple):
        return [_plain(item, digests) for item in value]
    if isinstance(value, Path):
        if value not in digests:
            digests[value] = _readable(InputFile(str(value)).digest)[:LENGTH]
        return digests[value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def _readable(read: Callable[[], str]) -> str:
    """The stamp or the digest of a file."""
    try:
        return read()
    except (OSError, ImageError):
        return UNREADABLE
