"""The detector of a run, and the examples of objects that it finds; importing this module does not import torch."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..configs import STDIN, YOLOE, DetectorConfig, RunConfig, digest
from ..detection.files import detector_file
from ..errors import UsageError
from ..formats.values import some_of
from ..io.find import find_images
from ..io.images import read_image
from ..progress import Progress
from ..prompts.fit import fit_prompts
from ..prompts.read import PromptSources, read_prompt_file
from ..prompts.table import Selection
from .inputs import bind

if TYPE_CHECKING:
    import torch

    from ..detection.detector import Detector
    from ..detection.visual_prompts import Examples


def with_yoloe(config: DetectorConfig) -> DetectorConfig:
    """Check the options of examples; with them, the detector is a YOLOE by default.

    Raises:
        UsageError: photos without boxes or the reverse, or a detector that takes no examples.
    """
    if bool(config.like) != (config.like_boxes is not None):
        given, missing = ("like", "like_boxes") if config.like else ("like_boxes", "like")
        raise UsageError("an example is a photo and its boxes", option=given, remedy=f"add `{missing}`")
    if not config.like:
        return config
    if STDIN in (*config.like, config.like_boxes):
        raise UsageError("cannot be stdin", option="like", value=STDIN, remedy="pass files or folders")
    config = replace(config, detector=config.detector or YOLOE)
    assert config.detector is not None
    from ..detection.visual_prompts import check_takes_examples

    check_takes_examples(config.detector)
    return config


def read_examples(config: DetectorConfig, run: RunConfig, progress: Progress) -> Examples | None:
    """Read the examples of a config, if it has any, and report them.

    Raises:
        UsageError: a photo does not exist.
        HqsamError: a photo or the boxes cannot be read, or no box lies in a photo.
    """
    if config.like_boxes is None:
        return None
    from ..detection.visual_prompts import Examples

    images = find_images(list(config.like)).images
    gone = [image.path for image in images if image.location is None and not os.path.isfile(image.path)]
    if gone or not images:
        where = gone[0] if gone else ", ".join(config.like)
        raise UsageError("no photo", option="like", value=where, remedy="pass photos with labeled objects, or a folder")
    sources = PromptSources((read_prompt_file(config.like_boxes, "box"),))
    table = bind(sources, images, Selection(), run.exif, progress)
    names = {category["id"]: category["name"] for category in table.categories}
    photos, contents, used = [], [], set()
    for image in images:
        given = table.for_image(image.file_name)
        if not given.prompts:
            continue
        file = image.file()
        height, width = read_image(file, exif=run.exif, max_pixels=run.max_pixels).shape[:2]
        prompts, problems = fit_prompts(given, width, height)
        for text in problems:
            progress.on_problem(text)
        photos.append((image, prompts))
        contents.append((file.digest(), [(names[own.category_id], own.box) for own in prompts]))
        used |= {own.category_id for own in prompts}
    if not used:
        raise UsageError("no box in a photo of `like`", file=config.like_boxes, remedy="label an object in one of them")
    categories = [category for category in table.categories if category["id"] in used]
    count = sum(len(prompts) for _, prompts in photos)
    progress.say(
        f"examples: {count} {'object' if count == 1 else 'objects'} "
        f"({some_of(category['name'] for category in categories)}) in {len(photos)} "
        f"{'photo' if len(photos) == 1 else 'photos'}"
    )
    return Examples(photos, categories, digest(*contents), run.exif, run.max_pixels)


def load_detector(
    config: DetectorConfig, examples: Examples | None, device: torch.device, progress: Progress, *, may_fetch: bool
) -> tuple[Path, Detector]:
    """Load a detector, and report it; also returns its file."""
    from ..detection.detector import Detector

    assert config.detector is not None
    path = detector_file(config.detector, trusted=config.trust_detector, may_fetch=may_fetch)
    detector = Detector(path, config, device, may_fetch=may_fetch, examples=examples)
    count = len(detector.config.classes or detector.categories)
    progress.say(f"detector {config.detector} on {device}, {count} {'class' if count == 1 else 'classes'}")
    return path, detector
