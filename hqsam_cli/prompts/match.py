"""Match the names and image ids of prompt files to the images of a run."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from ..formats.values import Identifier, some_of
from ..io.find import SourceImage
from ..io.names import ADDRESS, is_absolute, leaves_folder, plain_name, tails
from .prompt_file import FileImage, NameKind, PromptFile


@dataclass(frozen=True, slots=True)
class Matches:
    """Images of a prompt file matched to images of a run.

    Attributes:
        names: names of images of the run by their key in the file.
        ambiguous: a message per image with several matches.
        outside: a message per name that leads out of the image folder.
    """

    names: dict[Identifier, str] = field(default_factory=dict)
    ambiguous: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


# Normalizations under which names are compared, strictest first; each is tried on images left by those before.
SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda name: str(PurePosixPath(name)),
    plain_name,
    lambda name: unicodedata.normalize("NFC", plain_name(name).casefold()),
)


def match_images(file: PromptFile, images: Sequence[SourceImage]) -> Matches:
    """Match images of a prompt file to images of the run.

    A name matches itself; else the longest name it ends with (`a.jpg` in the file, `imgs/a.jpg` in the run); else the
    one that ends with it (`val/a.jpg` in the file, `a.jpg` in the run). Paths without suffix, as from label files,
    match any suffix. An image without a name matches by its id as the stem, with or without leading zeros. If nothing
    else matches, names are compared normalized: backslashes, URLs, Unicode form and letter case. Images that are still
    not found are looked for by the names that they had before an export. If images have other names in earlier
    results, all match by these, or by those of the inputs if more match then.
    """
    matches = _match_names(file, images)
    if all(image.listed is None for image in images):
        return matches
    listed = {image.listed or image.file_name: image for image in images}
    others = _match_names(file, [replace(image, file_name=name) for name, image in listed.items()])
    if len(others.names) <= len(matches.names):
        return matches
    return replace(others, names={key: listed[name].file_name for key, name in others.names.items()})


def _match_names(file: PromptFile, images: Sequence[SourceImage]) -> Matches:
    matches = Matches()
    _match(file.path, list(file.images.values()), images, matches)
    renamed = [
        replace(own, name=own.original) for own in file.images.values() if own.original and own.key not in matches.names
    ]
    if renamed:
        matched = set(matches.names.values())
        _match(file.path, renamed, [image for image in images if image.file_name not in matched], matches)
    return matches


def _match(path: str, wanted: Sequence[FileImage], images: Sequence[SourceImage], matches: Matches) -> None:
    """Add the matches of images of a file to images of the run."""
    places = {os.path.abspath(image.path): image.file_name for image in images}
    folders = {os.path.abspath(image.path).removesuffix(image.file_name) for image in images}
    folders.add(os.path.dirname(os.path.abspath(path)))
    names = {image.file_name: None for image in images}
    keys: dict[tuple[NameKind, str], list[Identifier]] = defaultdict(list)
    for image in wanted:
        led = _led_to(image.name, folders, places) if image.kind == "name" else None
        if led is not None:
            matches.names[image.key] = led
        elif image.kind == "name" and not is_absolute(image.name) and leaves_folder(plain_name(image.name)):
            text = f"file_name {image.name!r} leaves the image folder; make it relative to that folder"
            matches.outside.append(f"{path}: {text}")
        else:
            shortest = image.name if ADDRESS.match(image.name) else str(PurePosixPath(image.name))
            keys[image.kind, shortest].append(image.key)
    written: dict[tuple[NameKind, str], str] = {}  # image names by their plain name
    for spelling in SPELLINGS:
        settled = set(matches.names.values())
        asked = [FileImage(own[0], name, kind) for (kind, name), own in keys.items()]
        left = [name for name in names if name not in settled]
        found, ambiguous = _match_once(asked, left, spelling, matches.ambiguous)
        written |= {(image.kind, plain_name(image.name)): name for image, name in found.items()}
        # A file may spell one image in several ways.
        for image in (image for image in asked if image not in ambiguous):
            own = found.get(image) or written.get((image.kind, plain_name(image.name)))
            if own is not None:
                matches.names.update((key, own) for key in keys.pop((image.kind, image.name)))
        for image in ambiguous:
            keys.pop((image.kind, image.name), None)


def _led_to(name: str, folders: set[str], places: dict[str, str]) -> str | None:
    """The image that an absolute path, or one with `..`, leads to from one of the folders, or None."""
    path = name.replace("\\", "/")
    if "\0" in name or not (path.startswith("/") or ".." in path.split("/")):
        return None
    led = (places.get(os.path.normpath(os.path.join(folder, path))) for folder in sorted(folders))
    return next((found for found in led if found is not None), None)


def _match_once(
    images: list[FileImage], names: list[str], spelling: Callable[[str], str], sentences: list[str]
) -> tuple[dict[FileImage, str], set[FileImage]]:
    """The names of images matched by one normalization, and the ambiguous images."""
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
    """Yield the names that a file may use for an image, best first."""
    for tail in (name, *tails(name)):
        yield "name", tail
        yield "path_stem", tail
        yield "path_stem", os.path.splitext(tail)[0]
    yield "stem", _stem(PurePosixPath(name).stem)


def _stem(stem: str) -> str:
    """Remove leading zeros from a numeric stem."""
    return (stem.lstrip("0") or "0") if stem.isascii() and stem.isdigit() else stem
