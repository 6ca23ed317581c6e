"""Prompts against the image they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from hqsam_cli.errors import ImageError
from hqsam_cli.formats.segmentation import decode_segmentation
from hqsam_cli.prompts.fit import fit_prompts
from hqsam_cli.records import ImagePrompts, MappedObject, Prompt, RawPrompt


def fitted(*prompts: RawPrompt, size: tuple[int, int] | None = None) -> tuple[list[Prompt], list[str]]:
    """Prompts against an image 60 wide and 40 high."""
    return fit_prompts(ImagePrompts("a.jpg", 1, size, list(prompts)), 60, 40)


@pytest.fixture
def shape() -> np.ndarray:
    y, x = np.mgrid[:40, :60]
    return ((x - 30) / 20) ** 2 + ((y - 20) / 15) ** 2 < 1


def test_boxes_are_clipped_to_the_image() -> None:
    kept, problems = fitted(RawPrompt(1, box=(-5, -5, 70, 50)), RawPrompt(2, box=(10, 10, 20, 20)))
    assert [prompt.box for prompt in kept] == [(0, 0, 60, 40), (10, 10, 20, 20)]
    assert problems == []


@pytest.mark.parametrize("box", [(60, 0, 70, 10), (-9, 0, 0, 10), (0, 40, 10, 41), (5, 5, 5, 9)])
def test_a_box_outside_is_dropped_and_named(box: tuple[float, float, float, float]) -> None:
    kept, problems = fitted(RawPrompt(17, box=box), RawPrompt(18, box=(0, 0, 1, 1)))
    assert [prompt.annotation_id for prompt in kept] == [18]
    numbers = ", ".join(map(str, box))
    assert problems == [f"a.jpg: box 17 ({numbers}) lies outside the image of 60 x 40 pixels; skipped"]


def test_frame_is_a_box_around_the_image() -> None:
    assert fitted(RawPrompt(1, xyxyn=(0, 0, 1, 1)))[0][0].box == (0, 0, 60, 40)


def test_points_outside_are_dropped_and_named() -> None:
    points = np.array([[5, 5, 1], [60, 40, 0], [61, 5, 1], [5, -1, 1]], np.float32)
    (kept,), problems = fitted(RawPrompt(1, points=points))
    assert kept.points is not None and kept.points.tolist() == [[5, 5, 1], [60, 40, 0]]
    assert problems == ["a.jpg: points of prompt 1 lie outside the image: 2 of 4; skipped"]
    assert fitted(RawPrompt(1, points=points[2:]))[0] == []
    assert fitted(RawPrompt(1, points=points[2:], box=(0, 0, 9, 9)))[0][0].points is None


def test_another_size_is_an_error_with_a_remedy() -> None:
    prompt = RawPrompt(1, box=(0, 0, 9, 9))
    assert len(fitted(prompt, size=(60, 40))[0]) == 1
    with pytest.raises(ImageError, match=r"a\.jpg: is 60 x 40 pixels.* 40 x 60; .*`exif`"):
        fitted(prompt, size=(40, 60))
    with pytest.raises(ImageError, match=r"120 x 80; rescale its boxes"):
        fitted(prompt, size=(120, 80))
    assert fitted(size=(120, 80)) == ([], [])


def test_coarse_masks_of_every_kind_are_the_same_pixels(tmp_path: Path, shape: np.ndarray) -> None:
    compressed = coco_mask.encode(np.asfortranarray(shape.astype(np.uint8)))
    compressed["counts"] = compressed["counts"].decode()
    edges = np.flatnonzero(np.diff(np.r_[0, shape.T.ravel(), 0]))
    listed = {"size": [40, 60], "counts": np.diff(np.r_[0, edges, shape.size]).tolist()}
    pngs: dict[str, np.ndarray] = {
        "eight": shape.astype(np.uint8) * 255,
        "soft": np.where(shape, 129, 128).astype(np.uint8),
        "ones": shape.astype(np.uint8),
        "sixteen": shape.astype(np.uint16) * 65535,
        "one": shape,
    }
    for name, pixels in pngs.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    palette = Image.fromarray(shape.astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 128, 0, 0])
    palette.save(tmp_path / "palette.png")
    sources = [compressed, listed, *(tmp_path / f"{name}.png" for name in (*pngs, "palette"))]
    kept, problems = fitted(*(RawPrompt(n, mask=source) for n, source in enumerate(sources)))
    assert problems == []
    for prompt, source in zip(kept, sources, strict=True):
        assert prompt.mask is not None and prompt.mask.dtype == bool and np.array_equal(prompt.mask, shape), source


def test_polygons_are_filled() -> None:
    polygons = [[10, 10, 20, 10, 20, 20, 10, 20], [30, 30, 70, 30, 70, 50, 30, 50]]
    mask = decode_segmentation(polygons, 60, 40)
    assert mask[15, 15] and mask[35, 59] and not mask[25, 25]
    assert mask.sum() == 10 * 10 + 10 * 30


def test_compressed_runs_are_read_as_pycocotools_reads_them() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        height, width = random.integers(1, 300, 2)
        mask = random.random((height, width)) < random.choice([0, 0.001, 0.5, 1])
        rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        rle["counts"] = rle["counts"].decode()
        assert np.array_equal(decode_segmentation(rle, width, height), mask)


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [40, 60], "counts": ""},
        {"size": [40, 60], "counts": "1"},
        {"size": [40, 60], "counts": "zzzzzzzzzzzzzz"},
        {"size": [40, 60], "counts": "PPPPPPPPPPPPPPP0"},
        {"size": [40, 60], "counts": "\N{GRINNING FACE}\udcff"},
        {"size": [40, 60], "counts": [1, 2]},
        {"size": [40, 60], "counts": [-1, 2401]},
        {"size": [40, 60], "counts": [2.0e3, "4_00"]},
        {"size": [40, 60], "counts": [10**30]},
        {"size": [10**6, 10**6], "counts": [10**12]},
        {"size": [60, 40], "counts": [0, 2400]},
        {"size": [2_000_000, 2_000_000], "counts": [0, 2_000_000_000] * 2_000},
        {"size": [40], "counts": []},
        {"size": "40x60", "counts": None},
        {},
        [],
        [[]],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [[1, 2, 1e8, 4, 5, 6]],
        [["a", 2, 3, 4, 5, 6]],
        [{"size": 1}],
        "mask",
        7,
    ],
)
def test_a_bad_coarse_mask_is_left_out_and_the_box_stays(segmentation: Any) -> None:
    kept, problems = fitted(RawPrompt(5, mask=segmentation), RawPrompt(6, mask=segmentation, box=(0, 0, 9, 9)))
    assert [(prompt.annotation_id, prompt.mask) for prompt in kept] == [(6, None)]
    assert len(problems) == 2
    assert problems[0].startswith("a.jpg: coarse mask of prompt 5 is ") and problems[0].endswith("; skipped")


def test_a_bad_mask_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"x")
    Image.new("1", (59, 40), 1).save(tmp_path / "small.png")
    Image.new("1", (60, 40)).save(tmp_path / "empty.png")
    names = ["broken", "gone", "small", "empty"]
    kept, problems = fitted(*(RawPrompt(n, mask=tmp_path / f"{name}.png") for n, name in enumerate(names)))
    assert kept == []
    for problem, reason in zip(problems, ["broken.png", "gone.png", "59 x 40", "empty"], strict=True):
        assert reason in problem


def test_a_map_is_split_into_its_objects_where_the_prompts_have_its_ids(tmp_path: Path) -> None:
    ids = np.zeros((40, 60), np.int32)
    ids[5:10, 5:20], ids[20:30, 30:50] = 300, 70_000
    colors = np.stack([ids % 256, ids // 256 % 256, ids // 65_536], axis=2).astype(np.uint8)
    Image.fromarray(colors).save(tmp_path / "panoptic.png")
    Image.fromarray(np.where(ids == 70_000, 2, ids // 300).astype(np.uint8)).save(tmp_path / "gray.png")
    Image.fromarray((ids > 0).astype(np.uint8) * 255).save(tmp_path / "one.png")
    for name, numbers in {"panoptic.png": (300, 70_000), "gray.png": (1, 2)}.items():
        asked = (RawPrompt(9 + n, mask=MappedObject(tmp_path / name, n), box=(0, 0, 9, 9)) for n in (*numbers, 77))
        kept, problems = fitted(*asked)
        assert [np.array_equal(p.mask, ids == n) for p, n in zip(kept, (300, 70_000), strict=False)] == [True, True]  # type: ignore[arg-type]
        assert kept[2].mask is None and len(problems) == 1 and f"{name}: a map of 3 values from 0" in problems[0]
    (alone,), _ = fitted(RawPrompt(2, mask=tmp_path / "gray.png"))  # the only prompt of its image, with an id
    assert np.array_equal(alone.mask, ids == 70_000)  # type: ignore[arg-type]
    assert "map of several instances" in fitted(RawPrompt(7, mask=tmp_path / "gray.png"))[1][0]
    assert "one mask for several prompts" in fitted(RawPrompt(5, mask=MappedObject(tmp_path / "one.png", 255)))[1][0]
