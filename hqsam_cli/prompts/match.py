"""Which image of a run a prompt file means: names and image ids against paths."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ..formats.values import Identifier, some_of
from ..io.find import SourceImage
from ..io.names import ADDRESS, is_absolute, leaves_folder, plain_name, tails
from .prompt_file import FileImage, NameKind, PromptFile


@dataclass(frozen=True, slots=True)
class Matches:
    """What the images of a file are in a run.

    Attributes:
        names: of images of the run by the keys the file has for them.
        ambiguous: a sentence for each image that could be several.
        outside: a sentence for each name that leads out of the folder of the images.
    """

    names: dict[Identifier, str] = field(default_factory=dict)
    ambiguous: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


# What makes two names the same, the strictest first; each is asked of what those before left over.
SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda name: str(PurePosixPath(name)),
    plain_name,
    lambda name: unicodedata.normalize("NFC", plain_name(name).casefold()),
)


def match_images(file: PromptFile, images: Sequence[SourceImage]) -> Matches:
    """Images of the run by the keys the file has for them.

    A name matches itself; else the longest name it ends with (`a.jpg` in the file, `imgs/a.jpg` in the run); else the
    one that ends with it (`val/a.jpg` in the file, `a.jpg` in the run). A path without a suffix, as label files have
    it, does so whatever the suffix of the image. An image without a name matches by its id as the stem, with or
    without leading zeros. Names that are written otherwise but are the same file match if nothing else does: with
    backslashes, as addresses, in another Unicode form, and in other letter case.
    """
    matches = Matches()
    places = {os.path.abspath(image.path): image.file_name for image in images}
    folders = {os.path.abspath(image.path).removesuffix(image.file_name) for image in images}
    folders.add(os.path.dirname(os.path.abspath(file.path)))
    names = {image.file_name: None for image in images}
    keys: dict[tuple[NameKind, str], list[Identifier]] = defaultdict(list)
    for image in file.images.values():
        led = _led_to(image.name, folders, places) if image.kind == "name" else None
        if led is not None:
            matches.names[image.key] = led
        elif image.kind == "name" and not is_absolute(image.name) and leaves_folder(plain_name(image.name)):
            text = f"file_name {image.name!r} leaves the image folder; make it relative to that folder"
            matches.outside.append(f"{file.path}: {text}")
        else:
            shortest = image.name if ADDRESS.match(image.name) else str(PurePosixPath(image.name))
            keys[image.kind, shortest].append(image.key)
    written: dict[tuple[NameKind, str], str] = {}  # names of images by what they are called in plain
    for spelling in SPELLINGS:
        settled = set(matches.names.values())
        asked = [FileImage(own[0], name, kind) for (kind, name), own in keys.items()]
        left = [name for name in names if name not in settled]
        found, ambiguous = _match_once(asked, left, spelling, matches.ambiguous)
        written |= {(image.kind, plain_name(image.name)): name for image, name in found.items()}
        # One image may be written in several ways in one file.
        for image in (image for image in asked if image not in ambiguous):
            own = found.get(image) or written.get((image.kind, plain_name(image.name)))
            if own is not None:
                matches.names.update((key, own) for key in keys.pop((image.kind, image.name)))
        for image in ambiguous:
            keys.pop((image.kind, image.name), None)
    return matches


def _led_to(name: str, folders: set[str], places: dict[str, str]) -> str | None:
    """The image that a path with detours or from the root leads to from one of the folders; None where it is none."""
    path = name.replace("\\", "/")
    if "\0" in name or not (path.startswith("/") or ".." in path.split("/")):
        return None
    led = (places.get(os.path.normpath(os.path.join(folder, path))) for folder in sorted(folders))
    return next((found for found in led if found is not None), None)


def _match_once(
    images: list[FileImage], names: list[str], spelling: Callable[[str], str], sentences: list[str]
) -> tuple[dict[FileImage, str], set[FileImage]]:
    """The names of images that one spelling settles, and the images that could be several."""
    known: dict[tuple[str, str], list[FileImage]] = defaultdict(list)
    ending: dict[tuple[str, str], list[FileImage]] = defaultdict(list)
    for image in images:
        written = _stem(image.name) if image.kind == "stem" else spelling(image.name)
        known[image.kind, written].append(image)
        if image.kind != "stem":
            for tail in tails(written):
                ending[image.kind, tail].append(image)

    candidates: dict[FileImage, list[str]] = defaultdict(list)
    ambiguous: set[FileImage] = set()
    for name in names:
        forms = list(_forms(spelling(name)))
        found = next((known[form] for form in forms if form in known), None)
        if found is None:
            found = next((ending[form] for form in forms[:3] if form in ending), [])
        if len(found) == 1:
            candidates[found[0]].append(name)
        elif found:
            sentences.append(f"{name} could be any of {some_of(image.name for image in found)}")
            ambiguous.update(found)

    matched: dict[FileImage, str] = {}
    for image, own in candidates.items():
        written = spelling(image.name)
        best = [name for name in own if spelling(name) == written] or own
        if len(best) == 1:
            matched[image] = best[0]
        else:
            sentences.append(f"{image.label} could be any of {some_of(own)}")
            ambiguous.add(image)
    return matched, ambiguous - matched.keys()


def _forms(name: str) -> Iterator[tuple[str, str]]:
    """What a file may call an image, best first."""
    for tail in (name, *tails(name)):
        yield "name", tail
        yield "path_stem", tail
        yield "path_stem", os.path.splitext(tail)[0]
    yield "stem", _stem(PurePosixPath(name).stem)


def _stem(stem: str) -> str:
    """A stem without leading zeros if it is a number."""
    return (stem.lstrip("0") or "0") if stem.isascii() and stem.isdigit() else stem
