"""`hqsam segment --format` and `--segmentation` from the outside."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from safetensors.torch import save_file

from hqsam_cli.formats import WRITERS
from hqsam_cli.io.run_folder import JOURNAL
from hqsam_cli.weights.registry import build_model
from tests.cli.conftest import Run

SAMPLES = Path(__file__).parents[2] / "sample_data"
LOWEST_MEAN = 0.995  # IoU of polygons and masks at the default tolerance


def test_every_format_is_written_and_the_same_command_keeps_it(hqsam: Run, photos: Path) -> None:
    formats = [word for name in WRITERS for word in ("--format", name)]
    command = ("segment", photos, "--boxes", "dets.json", "--segmentation", "both", *formats)
    result = hqsam(*command)
    assert result.code == 0
    for name in (
        "instances.json",
        "instances.ndjson",
        "masks/sub/b.png/7.png",
        "idmaps/a.jpg.png",
        "yolo-seg/data.yaml",
        "yolo-seg/images/sub/b.png",
        "yolo-seg/labels/sub/b.txt",
        "labelme/sub/b.json",
        "voc/a.xml",
        "labelstudio.json",
        "labelstudio.xml",
        "cvat.xml",
        "geojson/sub/b.geojson",
        "cutouts/a.jpg/5.png",
        "crops/sub/b.png/8.png",
    ):
        assert Path("hqsam_out", name).is_file(), name
    document = json.loads(Path("hqsam_out/instances.json").read_text())
    for annotation in document["annotations"][:2]:  # the discs
        size = annotation["rle"]["size"]
        again = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(annotation["segmentation"], *size)))
        mask = coco_mask.decode(annotation["rle"])
        assert np.count_nonzero(again & mask) / np.count_nonzero(again | mask) > 0.98
    before = contents(Path("hqsam_out"))
    again = hqsam(*command)
    assert "2 of 2 images already done" in again.err
    assert contents(Path("hqsam_out")) == before


def contents(folder: Path) -> dict[Path, bytes]:
    """Files but for the journal, which says when commands began."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != JOURNAL)
    return {path: path.read_bytes() for path in files}


def test_what_a_run_writes_is_no_input_of_the_next(hqsam: Run, photos: Path) -> None:
    assert hqsam("segment", photos, "--boxes", "dets.json", "--format", "yolo-seg", "--output", photos).code == 0
    again = hqsam("segment", photos, "--boxes", "dets.json", "--format", "coco", "--output", "other")
    assert (again.code, "2 of 2 images" in again.err) == (0, True)


def test_the_summary_says_what_polygons_cost(hqsam: Run) -> None:
    boxes = SAMPLES / "boxes.json"
    result = hqsam("segment", SAMPLES / "images/kites.jpg", "--boxes", boxes, "-f", "coco", "--segmentation", "polygon")
    assert result.code == 0
    (mean, lowest) = re.findall(r"polygons in coco: mean IoU with the masks ([\d.]+), lowest ([\d.]+)", result.err)[0]
    assert LOWEST_MEAN <= float(mean) <= 1
    coarse = hqsam(
        *("segment", SAMPLES / "images/kites.jpg", "--boxes", boxes, "-f", "coco", "--segmentation", "polygon"),
        *("--tolerance", "4", "--output", "coarse"),
    )
    assert float(re.findall(r"lowest ([\d.]+)", coarse.err)[0]) < float(lowest)


def test_polygons_on_stdout(hqsam: Run, photos: Path) -> None:
    result = hqsam("segment", photos, "--boxes", "dets.json", "--output", "-", "--segmentation", "polygon")
    kinds = [type(a["segmentation"]) for line in result.lines for a in line["annotations"]]
    assert kinds == [list] * 3


def test_masks_are_clean_in_all_that_is_written(hqsam: Run, photos: Path) -> None:
    torch.manual_seed(0)  # a model that has learned nothing makes masks of many parts
    save_file(
        build_model("vit_tiny", image_size=128, device="cpu").state_dict(), "random.safetensors", {"image_size": "128"}
    )
    command = (
        *("segment", photos, "--boxes", "dets.json", "--model", "random.safetensors"),
        *("--format", "coco", "--format", "png"),
    )
    assert hqsam(*command, "--raw", "--output", "raw").code == 0
    options = ("--largest-part", "--fill-holes", "5%", "--smooth")
    assert hqsam(*command, *options, "--output", "clean").code == 0
    raw, clean = (
        {a["id"]: a for a in json.loads(Path(folder, "instances.json").read_text())["annotations"]}
        for folder in ("raw", "clean")
    )
    parts = {folder: 0 for folder in ("raw", "clean")}
    for folder, found in (("raw", raw), ("clean", clean)):
        for number, name in ((5, "a.jpg"), (7, "sub/b.png"), (8, "sub/b.png")):
            mask = coco_mask.decode(found[number]["segmentation"])
            png = np.asarray(cv2.imread(f"{folder}/masks/{name}/{number}.png", cv2.IMREAD_GRAYSCALE))
            assert np.array_equal(png > 0, mask > 0)
            assert found[number]["area"] == mask.sum()
            parts[folder] += cv2.connectedComponents(mask)[0] - 1
    assert parts["raw"] > parts["clean"] == 3
    assert [a["score"] for a in raw.values()] == [a["score"] for a in clean.values()]
    default = hqsam(*command, "--output", "raw")
    assert (default.code, "--raw was True, is not given" in default.err) == (2, True)
    changed = hqsam(*command, "--largest-part", "--output", "clean")
    assert (changed.code, "--fill-holes" in changed.err) == (2, True)


def test_exclusive_masks_overlap_in_no_format_and_empty_ones_are_counted(hqsam: Run, photos: Path) -> None:
    boxes = json.loads(Path("dets.json").read_text())
    score = {"image_id": 11, "category_id": 3}
    boxes["annotations"] = [
        {**score, "id": 1, "bbox": [25, 25, 70, 70], "score": 0.9},
        {**score, "id": 2, "bbox": [25, 25, 70, 70], "score": 0.5},
        {**score, "id": 3, "bbox": [0, 0, 160, 120], "score": 0.2},
    ]
    Path("three.json").write_text(json.dumps(boxes))
    command = ("segment", photos / "a.jpg", "--boxes", "three.json", "-f", "coco", "-f", "png", "-f", "yolo-seg")
    shared = hqsam(*command, "--output", "shared")
    found = hqsam(*command, "--exclusive", "--output", "own")
    assert (shared.code, "empty" in shared.err, found.code) == (0, False, 0)
    assert "1 of 1 images, 3 masks, 1 of them empty, " in found.err
    before, after = (
        json.loads(Path(folder, "instances.json").read_text())["annotations"] for folder in ("shared", "own")
    )
    masks = {own["id"]: coco_mask.decode(own["segmentation"]) for own in after}
    assert np.sum(list(masks.values()), axis=0).max() == 1
    assert np.array_equal(masks[1], coco_mask.decode(before[0]["segmentation"]))
    assert [own["score"] for own in after] == [own["score"] for own in before]
    for own in after:
        png = cv2.imread(f"own/masks/imgs/a.jpg/{own['id']}.png", cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(np.asarray(png) > 0, masks[own["id"]] > 0) and own["area"] == masks[own["id"]].sum()
    again = hqsam(*command, "--output", "own")
    assert (again.code, "--exclusive" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--exclusive", "--multimask"), "--exclusive: the three masks of a prompt overlap; omit --multimask"),
        (("--min-region", "much"), "--min-region much: not an area; pass pixels or a percentage, such as 0.5%"),
        (("--fill-holes", "-3"), "--fill-holes -3: not an area"),
        (("--largest-part", "--min-region", "9"), "omit --min-region"),
        (("--raw", "--smooth"), "--raw: keeps masks as the model predicts them; omit --smooth"),
        (("--soft",), "--soft: applies to cut-outs only"),
        (("--background", "white"), "--background: applies to cut-outs and crops only"),
        (("--format", "cutout", "--background", "whiteish"), "--background whiteish: not a color"),
        (("--format", "png", "--segmentation", "polygon"), "--segmentation: applies to COCO and NDJSON only"),
        (("--tolerance", "1"), "--tolerance: applies to polygons only"),
        (("--format", "yolo"), "choose from coco, png, idmap, ndjson, yolo-seg"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    hqsam: Run, photos: Path, options: tuple[str, ...], expected: str
) -> None:
    result = hqsam("segment", photos, "--boxes", "dets.json", *options)
    assert result.code == 2
    assert expected in result.err


def test_a_run_says_what_it_took_a_file_for(hqsam: Run, photos: Path) -> None:
    Path("boxes.csv").write_text("file,x0,y0,x1,y1,label\na.jpg,25,25,95,95,disc\nsub/b.png,55,25,125,95,disc\n")
    for path, expected in (
        ("dets.json", "dets.json: COCO instances; images: 2, boxes: 3"),
        ("boxes.csv", "boxes.csv: CSV; images: 2, boxes: 2"),
    ):
        result = hqsam("segment", photos, "--boxes", path, "--dry-run")
        assert result.code == 0
        assert expected in result.err


def test_cutouts_and_crops(hqsam: Run, photos: Path) -> None:
    command = ("segment", photos / "a.jpg", "--boxes", "dets.json", "-f", "cutout", "-f", "crop", "-f", "coco")
    assert hqsam(*command, "--soft", "--output", "soft").code == 0
    (annotation,) = json.loads(Path("soft/instances.json").read_text())["annotations"]
    name = annotation["id"]
    mask = coco_mask.decode(annotation["segmentation"])
    cutout = np.asarray(cv2.imread(f"soft/cutouts/imgs/a.jpg/{name}.png", cv2.IMREAD_UNCHANGED))
    assert np.array_equal(cutout[..., 3] >= 128, mask == 1)
    assert len(np.unique(cutout[..., 3])) > 10
    crop = np.asarray(cv2.imread(f"soft/crops/imgs/a.jpg/{name}.png", cv2.IMREAD_UNCHANGED))
    assert crop.shape == (*map(int, annotation["bbox"][:1:-1]), 3)
    assert hqsam(*command, "--background", "#ff0009", "--output", "red").code == 0
    red = np.asarray(cv2.imread(f"red/cutouts/imgs/a.jpg/{name}.png", cv2.IMREAD_UNCHANGED))
    assert red.shape == (120, 160, 3)
    assert (red[mask == 0] == (9, 0, 255)).all()
    opaque = cutout[..., 3] == 255  # others have an estimated color
    assert opaque.any() and np.array_equal(red[opaque], cutout[opaque][:, :3])


def test_shards_are_joined_into_the_labels_of_one_run(hqsam: Run, photos: Path) -> None:
    cv2.imwrite(str(photos / "a.png"), np.asarray(cv2.imread(str(photos / "a.jpg"))))  # whose labels want one name
    boxes = "\n".join(f"{name},25,25,95,95" for name in ("a.jpg", "a.png", "sub/b.png"))
    Path("boxes.csv").write_text(f"file,x0,y0,x1,y1\n{boxes}\n")
    formats = ("-f", "yolo-seg", "-f", "labelme", "-f", "labelstudio", "-f", "coco", "--segmentation", "polygon")
    command = ("segment", photos, "--boxes", "boxes.csv", *formats)
    assert hqsam(*command, "--output", "whole").code == 0
    for shard in ("1/2", "2/2"):
        assert hqsam(*command, "--shard", shard, "--output", f"part{shard[0]}").code == 0
    assert hqsam("merge", "all", "part1", "part2").code == 0
    for path in (path for path in Path("whole").rglob("*") if path.suffix in (".txt", ".yaml", ".json")):
        whole, merged = path.read_text(), Path("all", *path.parts[1:]).read_text()
        assert (merged.partition("\n")[2] if path.name == "instances.json" else merged) == (
            whole.partition("\n")[2] if path.name == "instances.json" else whole
        ), path
    assert Path("all/yolo-seg/labels/a.png.txt").is_file()
    assert Path("all/yolo-seg/images/a.png.png").is_symlink()


def test_formats_whose_readers_turn_photos_are_named(hqsam: Run, photos: Path) -> None:
    ignoring = ("segment", photos, "--boxes", "dets.json", "--exif", "ignore", "--output", "x", "--dry-run")
    assert "labelme: its readers apply EXIF orientation" in hqsam(*ignoring, "--format", "labelme").err
    assert "readers" not in hqsam(*ignoring, "--format", "coco").err
