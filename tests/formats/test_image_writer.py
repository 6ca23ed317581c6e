"""Mask files, read back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hqsam_cli.errors import ImageError
from hqsam_cli.formats.image_writer import IdMapWriter, ImageResult, ImageWriter, PngWriter
from hqsam_cli.io.output_folder import ImageFiles
from hqsam_cli.records import ImageRecord, Instance, MaskCrop, Prompt


def instances_of(masks: list[MaskCrop], scores: list[float]) -> list[Instance]:
    return [Instance(Prompt(10 + n), m, s) for n, (m, s) in enumerate(zip(masks, scores, strict=True))]


def write(writer: ImageWriter, instances: list[Instance]) -> None:
    """What is written of an image `a.jpg`."""
    size = (instances[0].mask.width, instances[0].mask.height)
    annotations = [instance.to_coco(1) for instance in instances]
    writer.write(ImageResult(ImageRecord("a.jpg", 1, size, annotations), instances))


def id_map(output: Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(output / "idmaps/a.jpg.png"), cv2.IMREAD_UNCHANGED))


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (8, 5), (33, 1), (1, 40), (250, 130)])
def test_masks_are_one_bit_and_exact(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    bits = np.random.default_rng(0).random((height, width)) < 0.5
    corner = MaskCrop(np.ones((1, 1), bool), width - 1, height - 1, width, height)
    empty = MaskCrop(np.zeros((0, 0), bool), 0, 0, width, height)
    instances = instances_of([MaskCrop(bits, 0, 0, width, height), corner, empty], [0.9] * 3)
    write(PngWriter(tmp_path, []), instances)
    for instance in instances:
        path = tmp_path / "masks/a.jpg" / f"{instance.prompt.annotation_id}.png"
        with Image.open(path) as image:
            assert image.mode == "1"
            assert np.array_equal(np.asarray(image), instance.mask.full())
        pixels = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        assert np.array_equal(pixels, instance.mask.full() * np.uint8(255))


def test_only_masks_of_this_run_stay(tmp_path: Path) -> None:
    mask = MaskCrop(np.ones((1, 1), bool), 0, 0, 4, 4)
    write(PngWriter(tmp_path, []), instances_of([mask, mask], [0.9, 0.9]))
    (tmp_path / "masks/a.jpg/notes.txt").write_text("mine")
    write(PngWriter(tmp_path, []), instances_of([mask], [0.9]))
    assert {path.name for path in (tmp_path / "masks/a.jpg").iterdir()} == {"10.png", "notes.txt"}


def test_in_an_id_map_the_higher_score_is_on_top_then_the_earlier(tmp_path: Path) -> None:
    strips = [MaskCrop(np.ones((1, 3), bool), x, 0, 6, 1) for x in (0, 1, 2, 3)]
    write(IdMapWriter(tmp_path, []), instances_of(strips, [0.5, 0.9, 0.5, 0.5]))
    ids = id_map(tmp_path)
    assert ids.dtype == np.uint16
    assert ids.tolist() == [[1, 2, 2, 2, 3, 4]]


def test_ids_beyond_8_bits_and_beyond_16(tmp_path: Path) -> None:
    dots = [MaskCrop(np.ones((1, 1), bool), n, 0, 300, 1) for n in range(300)]
    instances = instances_of(dots, [0.9] * 300)
    write(IdMapWriter(tmp_path, []), instances)
    assert id_map(tmp_path).tolist() == [list(range(1, 301))]
    with pytest.raises(ImageError, match="65536 masks"):
        write(IdMapWriter(tmp_path / "other", []), instances[:1] * 65_536)
    assert not (tmp_path / "other/idmaps/a.jpg.png").exists()


def test_a_photo_wider_than_png_can_be_fails_alone(tmp_path: Path) -> None:
    wide = MaskCrop(np.ones((1, 1), bool), 0, 0, 1_000_001, 1)
    with pytest.raises(ImageError, match="1000001 x 1 pixels as PNG"):
        write(PngWriter(tmp_path, []), instances_of([wide], [0.9]))


def test_only_masks_of_this_package_are_ever_removed(tmp_path: Path) -> None:
    folder = tmp_path / "masks/a.jpg"
    folder.mkdir(parents=True)
    for name in ("7.png", "-3.png", "photo.png", "7a.png"):
        (folder / name).write_bytes(b"")
    PngWriter(tmp_path, []).remove("a.jpg", ImageFiles())
    assert sorted(path.name for path in folder.iterdir()) == ["7a.png", "photo.png"]
