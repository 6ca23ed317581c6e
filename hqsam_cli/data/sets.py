"""The datasets of the paper: their files below a data root, and their sources.

Layouts are the authors' (`train/data` of their repository; HQ-SAM, section 4). A folder with `images/` and `masks/`,
`im/` and `gt/`, or `annotations.json` is a dataset as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..configs import Exif
from ..errors import HqsamError, NoInputError, UsageError
from .pairs import ImageMaskFolder, find_layout, list_pairs

Kind = Literal["masks", "instances", "video"]
HUB_DATA = "huggingface.co/sam-hq-team/sam-hq-training, folder data"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset.

    Attributes:
        kind: `masks` one object per image, `instances` COCO-style JSON, `video` frames with object ids.
        images: image folder, relative to the data root.
        gt: folder of ground-truth masks, or JSON file, relative to the data root.
        count: number of images, 0 if not fixed.
        archive, source, size: download, its origin, and its size.
        ending, image_ending, coarse_ending: endings of mask, image and coarse mask names before the suffix.
        class_agnostic, lvis: how average precision is computed.
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


def _masks(
    key: str, title: str, images: str, gt: str, count: int, archive: tuple[str, str, str], *endings: Any
) -> Dataset:
    return Dataset(key, title, "masks", images, gt, count, *archive, *endings)


_DIS = ("DIS5K.zip", HUB_DATA, "3.53 GB")
_THIN = ("thin_object_detection.zip", HUB_DATA, "2.45 GB")
_CASCADE = ("cascade_psp.zip", HUB_DATA, "1.37 GB")
_THIN_ROOT, _CASCADE_ROOT = "thin_object_detection", "cascade_psp"
_THIN5K = f"{_THIN_ROOT}/ThinObject5K"
_BIG = ("BIG.zip", "github.com/hkchengrex/CascadePSP", "about 1 GB")
_COCO = ("val2017.zip and annotations_trainval2017.zip", "cocodataset.org", "1 GB")
_LVIS = ("lvis_v1_val.json.zip, and COCO's train2017 and val2017", "lvisdataset.org", "19 GB")
_UVO = ("UVO v0.5, with its frames", "sites.google.com/view/unidentified-video-object", "not stated")
_DAVIS = ("DAVIS-2017-trainval-480p.zip", "davischallenge.org", "0.8 GB")
_YTVIS = ("HQ-YTVIS, YouTube-VIS", "github.com/SysCV/vmt", "not stated")
_YTVIS_FILES = ("ytvis/JPEGImages", "ytvis/instances.json")
_COCO_JSON = "coco/annotations/instances_val2017.json"
_UVO_FILES = ("uvo/uvo_videos_dense_frames", "uvo/annotations/UVO_video_val_dense_objectlabel.json")
DATASETS = {
    dataset.key: dataset
    for dataset in (
        *(
            _masks(key, f"DIS5K-{part}", f"DIS5K/DIS-{part}/im", f"DIS5K/DIS-{part}/gt", count, _DIS)
            for key, part, count in (
                ("dis", "VD", 470),
                ("dis-tr", "TR", 3000),
                *((f"dis-te{n}", f"TE{n}", 500) for n in (1, 2, 3, 4)),
            )
        ),
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
        _masks("big", "BIG (test)", "BIG/test", "BIG/test", 100, _BIG, "_gt", "_im", "_seg"),
        Dataset("coco", "COCO val2017", "instances", "coco/val2017", _COCO_JSON, 5000, *_COCO),
        Dataset("lvis", "LVIS v1 val", "instances", "coco", "lvis/lvis_v1_val.json", 19809, *_LVIS, lvis=True),
        Dataset("uvo", "UVO v0.5 dense val", "instances", *_UVO_FILES, 7356, *_UVO, class_agnostic=True),
        Dataset("davis", "DAVIS 2017 val", "video", "DAVIS/JPEGImages/480p", "DAVIS/Annotations/480p", 1999, *_DAVIS),
        Dataset("ytvis", "HQ-YTVIS, or any YouTube-VIS JSON", "instances", *_YTVIS_FILES, 0, *_YTVIS),
    )
}
HQSEG_44K = ("dis-tr", "thinobject-tr", "fss", "duts-tr", "duts-te", "ecssd", "msra10k")  # HQ-SAM, section 4.1
HQ4 = ("dis", "coift", "hrsod", "thinobject")  # the four datasets averaged in the paper


def find_dataset(name: str, root: Path) -> Dataset:
    """The dataset of a name, with its files below `root`, or of a folder.

    Raises a UsageError if it is neither, or an HqsamError that says what to download if files are missing.
    """
    if name in DATASETS:
        dataset = DATASETS[name]
        placed = _below(dataset, root)
        missing = [path for path in (placed.images, placed.gt) if not Path(path).exists()]
        if missing:
            folders = " and ".join(dict.fromkeys((dataset.images, dataset.gt)))
            source = f"{dataset.archive} ({dataset.size}) from {dataset.source}"
            remedy = f"download {source}, extract it so that `data_root` contains {folders}"
            raise HqsamError(f"{missing[0]} does not exist", option="dataset", value=name, remedy=remedy)
        return placed
    folder = Path(name)
    if not folder.is_dir():
        raise UsageError(f"neither a folder nor one of {', '.join([*DATASETS, 'hq4'])}", option="dataset", value=name)
    title = folder.resolve().name
    for document in (folder / "annotations.json", folder / "annotations.json.gz"):
        if document.is_file():
            return Dataset(title, title, "instances", str(folder / "images"), str(document), 0, "", "", "")
    if (layout := find_layout(folder)) is None:
        forms = "images/ and masks/, im/ and gt/, images/ and annotations.json, or .jpg beside .png"
        raise HqsamError(f"contains no {forms}", file=folder)
    return Dataset(title, title, "masks", str(layout[0]), str(layout[1]), 0, "", "", "")


def _below(dataset: Dataset, root: Path) -> Dataset:
    return replace(dataset, images=str(root / dataset.images), gt=str(root / dataset.gt))


def dataset_pairs(
    dataset: Dataset, coarse: Path | None = None, exif: Exif = "apply", *, skip_missing: bool = False
) -> ImageMaskFolder:
    """All images of a `masks` dataset, with the path of their mask, existing or not unless `skip_missing`.

    `coarse` is a folder of coarse masks, by default that of the dataset. Raises an HqsamError if there are no images,
    or two share a mask.
    """
    images = Path(dataset.images)
    found = list_pairs(
        dataset.title,
        images,
        Path(dataset.gt),
        image_ending=dataset.image_ending,
        mask_ending=dataset.ending,
        coarse=coarse or (None if dataset.coarse_ending is None else images),
        coarse_ending=dataset.coarse_ending or "",
        exif=exif,
        skip_missing=skip_missing,
    )
    if not (found.pairs or found.missing):
        raise HqsamError("contains no images", file=dataset.images, remedy=f"pass the folder of {dataset.title}")
    return found


def hqseg_folders(root: Path, exif: Exif = "apply") -> tuple[list[ImageMaskFolder], list[str]]:
    """The datasets of HQSeg-44K, the training data of HQ-SAM, below `root`, and the image folders of missing ones.

    Raises a NoInputError if all are missing.
    """
    sets = [_below(DATASETS[key], root) for key in HQSEG_44K]
    there = [own for own in sets if Path(own.images).is_dir() and Path(own.gt).is_dir()]
    found = [folder for own in there if (folder := dataset_pairs(own, exif=exif, skip_missing=True)).pairs]
    absent = [own.images for own in sets if own.title not in {folder.name for folder in found}]
    if not found:
        raise NoInputError("contains no set of HQSeg-44K", file=root, remedy=f"the first is expected at {absent[0]}")
    return found, absent


def dataset_is_found(dataset: Dataset, root: Path) -> bool:
    """Whether the files of a dataset exist below the data root."""
    return (root / dataset.images).is_dir() and (root / dataset.gt).exists()
