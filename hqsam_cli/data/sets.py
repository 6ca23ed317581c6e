"""The data sets of the paper: where their files lie under a data root, and where they come from.

Layouts are the authors' (`train/data` of their repository; HQ-SAM, section 4). A folder with `images/` and `masks/`,
`im/` and `gt/`, or `annotations.json` is a data set as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..errors import HqsamError, UsageError

Kind = Literal["masks", "instances", "video"]
HUB_DATA = "huggingface.co/sam-hq-team/sam-hq-training, folder data"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, slots=True)
class Dataset:
    """One data set.

    Attributes:
        key: what people call it.
        kind: `masks` one object an image, `instances` COCO-style JSON, `video` frames with object ids.
        images: the folder of the photos, under the data root.
        truth: the folder of the masks, or the JSON file.
        count: how many images the authors had.
        archive, source, size: what to get, from where, how large.
        ending: between the stem of an image and `.png` in the name of its mask; `image_ending` is what is left of
            the image's own name, where both lie in one folder.
        coarse_ending: likewise of the coarse masks that come with the set.
        class_agnostic, lvis: how average precision is counted.
    """

    key: str
    title: str
    kind: Kind
    images: str
    truth: str
    count: int
    archive: str
    source: str
    size: str
    ending: str = ""
    image_ending: str = ""
    coarse_ending: str | None = None
    class_agnostic: bool = False
    lvis: bool = False


def _dis(part: str, count: int) -> Dataset:
    folder = f"DIS5K/DIS-{part}"
    key = "dis" if part == "VD" else f"dis-{part.lower()}"
    return Dataset(
        key, f"DIS5K-{part}", "masks", f"{folder}/im", f"{folder}/gt", count, "DIS5K.zip", HUB_DATA, "3.53 GB"
    )


_THIN = ("thin_object_detection.zip", HUB_DATA, "2.45 GB")
DATASETS = {
    dataset.key: dataset
    for dataset in (
        _dis("VD", 470),
        *(_dis(f"TE{n}", 500) for n in (1, 2, 3, 4)),
        Dataset(
            "coift",
            "COIFT",
            "masks",
            "thin_object_detection/COIFT/images",
            "thin_object_detection/COIFT/masks",
            280,
            *_THIN,
        ),
        Dataset(
            "hrsod",
            "HRSOD",
            "masks",
            "thin_object_detection/HRSOD/images",
            "thin_object_detection/HRSOD/masks_max255",
            287,
            *_THIN,
        ),
        Dataset(
            "thinobject",
            "ThinObject5K-TE",
            "masks",
            "thin_object_detection/ThinObject5K/images_test",
            "thin_object_detection/ThinObject5K/masks_test",
            500,
            *_THIN,
        ),
        Dataset(
            "big",
            "BIG (test)",
            "masks",
            "BIG/test",
            "BIG/test",
            100,
            "BIG.zip",
            "github.com/hkchengrex/CascadePSP",
            "about 1 GB",
            ending="_gt",
            image_ending="_im",
            coarse_ending="_seg",
        ),
        Dataset(
            "coco",
            "COCO val2017",
            "instances",
            "coco/val2017",
            "coco/annotations/instances_val2017.json",
            5000,
            "val2017.zip and annotations_trainval2017.zip",
            "cocodataset.org",
            "1 GB",
        ),
        Dataset(
            "lvis",
            "LVIS v1 val",
            "instances",
            "coco",
            "lvis/lvis_v1_val.json",
            19809,
            "lvis_v1_val.json.zip, and COCO's train2017 and val2017",
            "lvisdataset.org",
            "19 GB",
            lvis=True,
        ),
        Dataset(
            "uvo",
            "UVO v0.5 dense val",
            "instances",
            "uvo/uvo_videos_dense_frames",
            "uvo/annotations/UVO_video_val_dense_objectlabel.json",
            7356,
            "UVO v0.5, with its frames",
            "sites.google.com/view/unidentified-video-object",
            "not stated",
            class_agnostic=True,
        ),
        Dataset(
            "davis",
            "DAVIS 2017 val",
            "video",
            "DAVIS/JPEGImages/480p",
            "DAVIS/Annotations/480p",
            1999,
            "DAVIS-2017-trainval-480p.zip",
            "davischallenge.org",
            "0.8 GB",
        ),
        Dataset(
            "ytvis",
            "HQ-YTVIS, or any YouTube-VIS JSON",
            "instances",
            "ytvis/JPEGImages",
            "ytvis/instances.json",
            0,
            "HQ-YTVIS, YouTube-VIS",
            "github.com/SysCV/vmt",
            "not stated",
        ),
    )
}
HQ4 = ("dis", "coift", "hrsod", "thinobject")  # the four sets whose mean the paper prints


@dataclass(frozen=True, slots=True)
class MaskPair:
    """A photo, its mask, and a coarse mask where one is asked for."""

    name: str
    image: Path
    mask: Path
    coarse: Path | None = None


def found_dataset(name: str, root: Path) -> Dataset:
    """The data set of a key whose files are under `root`, or of a folder given by its path.

    The paths of the result hold for the current folder.

    Raises:
        UsageError: neither a key nor a folder.
        HqsamError: the key's files are not there; says what to get and where to put it.
    """
    if name in DATASETS:
        dataset = DATASETS[name]
        placed = _moved(dataset, root)
        missing = [path for path in (placed.images, placed.truth) if not Path(path).exists()]
        if missing:
            raise HqsamError(
                f"--dataset {name}: {missing[0]} is not there; get {dataset.archive} ({dataset.size}) from "
                f"{dataset.source}, and unpack it so that --data-root holds {dataset.images}/ and {dataset.truth}"
            )
        return placed
    folder = Path(name)
    if not folder.is_dir():
        raise UsageError(f"--dataset {name}: neither a folder nor one of {', '.join([*DATASETS, 'hq4'])}")
    return _folder_dataset(folder)


def _moved(dataset: Dataset, root: Path) -> Dataset:
    return replace(dataset, images=str(root / dataset.images), truth=str(root / dataset.truth))


def _folder_dataset(folder: Path) -> Dataset:
    """What a folder of one's own holds."""
    if (folder / "annotations.json").is_file():
        images, truth, kind = "images", "annotations.json", "instances"
    elif (folder / "images").is_dir() and (folder / "masks").is_dir():
        images, truth, kind = "images", "masks", "masks"
    elif (folder / "im").is_dir() and (folder / "gt").is_dir():
        images, truth, kind = "im", "gt", "masks"
    else:
        raise HqsamError(f"{folder}: holds neither images/ and masks/, nor im/ and gt/, nor annotations.json")
    one = Dataset(folder.name, folder.name, kind, images, truth, 0, "", "", "")  # type: ignore[arg-type]
    return _moved(one, folder)


def mask_pairs(dataset: Dataset, coarse: Path | None = None) -> list[MaskPair]:
    """All photos of a `masks` data set in the order of their names, each with where its mask should be.

    Args:
        coarse: folder of coarse masks by the stem of the photo; the set's own where it has some.

    Raises:
        HqsamError: no photo is there, or two share a mask.
    """
    photos = sorted(path for path in _files(Path(dataset.images)) if path.stem.endswith(dataset.image_ending))
    if not photos:
        raise HqsamError(f"{dataset.images}: holds no images; give the folder of {dataset.title}")
    pairs = []
    first: dict[str, Path] = {}
    for path in photos:
        if (before := first.setdefault(path.stem, path)) is not path:
            raise HqsamError(f"{before} and {path.name} would have the same mask; take one of them away")
        stem = path.stem.removesuffix(dataset.image_ending)
        rough = None
        if coarse is not None:
            rough = coarse / f"{stem}{dataset.coarse_ending or ''}.png"
        elif dataset.coarse_ending is not None:
            rough = Path(dataset.images) / f"{stem}{dataset.coarse_ending}.png"
        pairs.append(MaskPair(stem, path, Path(dataset.truth) / f"{stem}{dataset.ending}.png", rough))
    return pairs


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def dataset_is_found(dataset: Dataset, root: Path) -> bool:
    """Whether a data set's photos and truth are under the data root."""
    return (root / dataset.images).is_dir() and (root / dataset.truth).exists()
