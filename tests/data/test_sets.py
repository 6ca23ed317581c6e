"""Finding data sets, and saying what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from hqsam_cli.data.sets import DATASETS, dataset_is_found, dataset_pairs, find_dataset
from hqsam_cli.errors import HqsamError, UsageError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_authors_layouts_are_found(tmp_path: Path) -> None:
    thin = tmp_path / "thin_object_detection"
    touch(
        tmp_path / "DIS5K/DIS-VD/im/b.jpg",
        tmp_path / "DIS5K/DIS-VD/im/a.jpg",
        tmp_path / "DIS5K/DIS-VD/gt/a.png",
        thin / "HRSOD/images/h.jpg",
        thin / "HRSOD/masks_max255/h.png",
        thin / "ThinObject5K/images_test/t.jpg",
        thin / "ThinObject5K/masks_test/t.png",
    )
    pairs = dataset_pairs(find_dataset("dis", tmp_path)).pairs
    assert [(pair.name, pair.image.name, pair.mask.name) for pair in pairs] == [
        ("a", "a.jpg", "a.png"),
        ("b", "b.jpg", "b.png"),
    ]
    assert dataset_pairs(find_dataset("hrsod", tmp_path)).pairs[0].mask == thin / "HRSOD/masks_max255/h.png"
    assert dataset_pairs(find_dataset("thinobject", tmp_path)).pairs[0].mask.is_file()
    assert [name for name in DATASETS if dataset_is_found(DATASETS[name], tmp_path)] == ["dis", "hrsod", "thinobject"]


def test_big_keeps_photo_gt_and_coarse_mask_in_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "BIG/test"
    touch(*(folder / f"2007_0001_{part}" for part in ("im.jpg", "gt.png", "seg.png")))
    (pair,) = dataset_pairs(find_dataset("big", tmp_path)).pairs
    assert pair.name == "2007_0001"
    assert (pair.image.name, pair.mask.name) == ("2007_0001_im.jpg", "2007_0001_gt.png")
    assert pair.coarse == folder / "2007_0001_seg.png"


@pytest.mark.parametrize("folders", [("images", "masks"), ("im", "gt")])
def test_a_folder_of_ones_own(tmp_path: Path, folders: tuple[str, str]) -> None:
    touch(tmp_path / folders[0] / "x.png", tmp_path / folders[1] / "x.png", tmp_path / folders[0] / "notes.txt")
    (pair,) = dataset_pairs(find_dataset(str(tmp_path), Path("nowhere"))).pairs
    assert pair.image == tmp_path / folders[0] / "x.png"


def test_a_missing_set_says_what_to_get_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(HqsamError) as caught:
        find_dataset("coift", tmp_path)
    for part in (
        str(tmp_path),
        "thin_object_detection.zip",
        "2.45 GB",
        "huggingface.co",
        "COIFT/images",
        "COIFT/masks",
    ):
        assert part in str(caught.value)


def test_what_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a folder nor one of dis, "):
        find_dataset("disk", tmp_path)
    with pytest.raises(HqsamError, match="contains no images/ and masks/"):
        find_dataset(str(tmp_path), tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(HqsamError, match="contains no images"):
        dataset_pairs(find_dataset(str(tmp_path), tmp_path))
