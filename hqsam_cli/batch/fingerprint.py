"""What the results of an image depend on that the identity of a run does not say: its pixels and its prompts.

Content decides, not time stamps: size and time of change only save reading a file that is as it was.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ImageError
from ..io.find import SourceImage
from ..io.places import UNKNOWN, LocalFile, Place
from ..records import ImagePrompts

UNREADABLE = "unreadable"
LENGTH = 16  # of a digest


class Fingerprint(NamedTuple):
    """Of one image.

    Attributes:
        stamp: size and time of change of its file, or what an address has for them.
        content: digest of its file.
        prompts: digest of its prompts.
    """

    stamp: str
    content: str
    prompts: str

    def __str__(self) -> str:
        """As the journal has it."""
        return " ".join(self)

    @classmethod
    def parse(cls, text: str) -> Fingerprint | None:
        """Of what the journal has; None of what is none."""
        parts = text.split(" ")
        return cls(*parts) if len(parts) == len(cls._fields) else None


def take_fingerprint(place: Place, prompts: ImagePrompts) -> Fingerprint:
    """The fingerprint of an image as it is now; its file is read."""
    return Fingerprint(_stamp(place), _digest(place), prompts_digest(prompts))


def is_unchanged(known: str, source: SourceImage, prompts: ImagePrompts) -> bool:
    """Whether an image is what it was when a fingerprint was taken; its file is read only if it was touched."""
    old = Fingerprint.parse(known)
    if old is None or old.prompts != prompts_digest(prompts) or old.content == UNREADABLE:
        return False
    place = source.place()
    return old.stamp == _stamp(place) != UNKNOWN or old.content == _digest(place)


def is_unreadable(known: str) -> bool:
    """Whether nobody could read the file of which a fingerprint was taken."""
    old = Fingerprint.parse(known)
    return old is not None and old.content == UNREADABLE


def prompts_digest(prompts: ImagePrompts) -> str:
    """Of everything that prompts say; of coarse masks in files, what these hold."""
    said = {name: value for name, value in asdict(prompts).items() if name != "dropped"}
    return _short(repr(_plain(said)).encode("utf-8", "surrogateescape"))


def _plain(value: Any) -> Any:
    """A value whose `repr` says all of it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return _digest(LocalFile(str(value)))
    return value.tolist() if isinstance(value, np.ndarray) else value


def _stamp(place: Place) -> str:
    try:
        return place.stamp()
    except (OSError, ImageError):
        return UNREADABLE


def _digest(place: Place) -> str:
    try:
        return place.digest()[:LENGTH]
    except (OSError, ImageError):
        return UNREADABLE


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:LENGTH]
