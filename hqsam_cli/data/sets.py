"""The data sets of the paper: where their files lie under a data root, and where they come from.

Layouts are the authors' (`train/data` of their repository; HQ-SAM, section 4). A folder with `images/` and `masks/`,
`im/` and `gt/`, or `annotations.json` is a data set as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..configs import Exif
from ..errors import HqsamError, NoInputError, UsageError
from .pairs import ImageMaskFolder, Pair, find_layout, list_pairs, split_pairs

Kind = Literal["masks", "instances", "video"]
HUB_DATA = "huggingface.co/sam-hq-team/sam-hq-training, folder data"


@dataclass(frozen=True, slots=True)
class Dataset:
    """One data set.

    Attributes:
        key: what people call it.
        kind: `masks` one object an image, `instances` COCO-style JSON, `video` frames with object ids.
        images: the folder of the photos, under the data root.
        gt: the folder of the ground-truth masks, or the JSON file.
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
    gt: str
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


def _masks(key: str, title: str, images: str, gt: str, count: int, archive: tuple[str, str, str]) -> Dataset:
    return Dataset(key, title, "masks", images, gt, count, *archive)


_THIN = ("thin_object_detection.zip", HUB_DATA, "2.45 GB")
_CASCADE = ("cascade_psp.zip", HUB_DATA, "1.37 GB")
_THIN_ROOT, _CASCADE_ROOT = "thin_object_detection", "cascade_psp"
_THIN5K = f"{_THIN_ROOT}/ThinObject5K"
DATASETS = {
    dataset.key: dataset
    for dataset in (
        _dis("VD", 470),
        _dis("TR", 3000),
        *(_dis(f"TE{n}", 500) for n in (1, 2, 3, 4)),
        _masks("coift", "COIFT", f"{_THIN_ROOT}/COIFT/images", f"{_THIN_ROOT}/COIFT/masks", 280, _THIN),
        _masks("hrsod", "HRSOD", f"{_THIN_ROOT}/HRSOD/images", f"{_THIN_ROOT}/HRSOD/masks_max255", 287, _THIN),
        _masks("thinobject", "ThinObject5K-TE", f"{_THIN5K}/images_test", f"{_THIN5K}/masks_test", 500, _THIN),
        _masks("thinobject-tr", "ThinObject5K-TR", f"{_THIN5K}/images_train", f"{_THIN5K}/masks_train", 4748, _THIN),
        *(
            _masks(key, title, f"{_CASCADE_ROOT}/{folder}", f"{_CASCADE_ROOT}/{folder}", count, _CASCADE)
            for key, title, folder, count in (
                ("fss", "FSS", "fss_all", 10000),
                ("duts-tr", "DUTS-TR", "DUTS-TR", 10553),
                ("duts-te", "DUTS-TE", "DUTS-TE", 5019),
                ("ecssd", "ECSSD", "ecssd", 1000),
                ("msra10k", "MSRA10K", "MSRA_10K", 10000),
            )
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
HQSEG_44K = ("dis-tr", "thinobject-tr", "fss", "duts-tr", "duts-te", "ecssd", "msra10k")  # HQ-SAM, section 4.1
HQ4 = ("dis", "coift", "hrsod", "thinobject")  # the four sets whose mean the paper prints


def find_dataset(name: str, root: Path) -> Dataset:
    """The data set of a key whose files are under `root`, or of a folder given by its path.

    The paths of the result hold for the current folder.

    Raises:
        UsageError: neither a key nor a folder.
        HqsamError: the key's files are not there; says what to get and where to put it.
    """
    if name in DATASETS:
        dataset = DATASETS[name]
        placed = _moved(dataset, root)
        missing = [path for path in (placed.images, placed.gt) if not Path(path).exists()]
        if missing:
            raise HqsamError(
                f"{missing[0]} does not exist",
                option="dataset",
                value=name,
                remedy=f"download {dataset.archive} ({dataset.size}) from {dataset.source}, "
                f"and extract it so that `data_root` contains {dataset.images}/ and {dataset.gt}",
            )
        return placed
    folder = Path(name)
    if not folder.is_dir():
        raise UsageError(f"neither a folder nor one of {', '.join([*DATASETS, 'hq4'])}", option="dataset", value=name)
    return _folder_dataset(folder)


def _moved(dataset: Dataset, root: Path) -> Dataset:
    return replace(dataset, images=str(root / dataset.images), gt=str(root / dataset.gt))


def _folder_dataset(folder: Path) -> Dataset:
    """What a folder of one's own holds."""
    name = folder.resolve().name
    one = Dataset(name, name, "masks", "", "", 0, "", "", "")
    for document in (folder / "annotations.json", folder / "annotations.json.gz"):
        if document.is_file():
            return replace(one, kind="instances", images=str(folder / "images"), gt=str(document))
    layout = find_layout(folder)
    if layout is None:
        raise HqsamError(
            "contains no images/ and masks/, im/ and gt/, images/ and annotations.json, or .jpg beside .png",
            file=folder,
        )
    return replace(one, images=str(layout[0]), gt=str(layout[1]))


def dataset_pairs(dataset: Dataset, coarse: Path | None = None, exif: Exif = "apply") -> list[Pair]:
    """All photos of a `masks` data set, each with where its mask should be.

    Args:
        coarse: folder of coarse masks by the stem of the photo; the set's own where it has some.
        exif: see `Pair`.

    Raises:
        HqsamError: no photo is there, or two share a mask.
    """
    own = None if dataset.coarse_ending is None else Path(dataset.images)
    pairs = list_pairs(
        Path(dataset.images),
        Path(dataset.gt),
        image_ending=dataset.image_ending,
        mask_ending=dataset.ending,
        coarse=coarse or own,
        coarse_ending=dataset.coarse_ending or "",
        exif=exif,
    )
    if not pairs:
        raise HqsamError("contains no images", file=dataset.images, remedy=f"pass the folder of {dataset.title}")
    return pairs


def hqseg_folders(root: Path, exif: Exif = "apply") -> tuple[list[ImageMaskFolder], list[str]]:
    """The sets of HQSeg-44K, which HQ-SAM was trained on, below `root`, and the image folders of those not there.

    Raises:
        NoInputError: none of them is there.
    """
    sets = [_moved(DATASETS[key], root) for key in HQSEG_44K]
    there = [own for own in sets if Path(own.images).is_dir() and Path(own.gt).is_dir()]
    found = [folder for own in there if (folder := split_pairs(own.title, dataset_pairs(own, exif=exif))).pairs]
    absent = [own.images for own in sets if own.title not in {folder.name for folder in found}]
    if not found:
        raise NoInputError("contains no set of HQSeg-44K", file=root, remedy=f"the first is expected at {absent[0]}")
    return found, absent


def dataset_is_found(dataset: Dataset, root: Path) -> bool:
    """Whether a data set's photos and ground truth are under the data root."""
    return (root / dataset.images).is_dir() and (root / dataset.gt).exists()
