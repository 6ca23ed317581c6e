"""`hqsam show` and `hqsam segment --overlay` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.cli.conftest import Run


def changed(picture: Path, photo: Path) -> float:
    """The share of pixels that a picture shows otherwise than its photo."""
    one, other = (np.asarray(Image.open(path).convert("RGB"), int) for path in (picture, photo))
    assert one.shape == other.shape
    return float((np.abs(one - other).max(axis=2) > 40).mean())


def test_images_and_finished_runs_are_drawn(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    result = hqsam("show", photos / "a.jpg", "--boxes", "dets.json", "-o", "one.png")
    assert result.code == 0, result.err
    assert 0.1 < changed(tmp_path / "one.png", photos / "a.jpg") < 0.6
    assert not (tmp_path / "hqsam_out").exists()

    made = hqsam("segment", photos, "--boxes", "dets.json", "-o", "out", "--overlay")
    assert made.code == 0, made.err
    names = ["a.jpg", "sub/b.png"]
    for name in names:
        assert changed(tmp_path / "out" / "overlays" / f"{name}.jpg", photos / name) > 0.1
    (tmp_path / "out" / "overlays" / "a.jpg.jpg").unlink()
    again = hqsam("segment", photos, "--boxes", "dets.json", "-o", "out", "--overlay")
    assert "1 of 2 images" in again.err
    assert (tmp_path / "out" / "overlays" / "a.jpg.jpg").is_file()

    assert hqsam("show", "out", "-o", "drawn").code == 0
    for name in names:
        assert changed((tmp_path / "drawn" / name).with_suffix(".jpg"), photos / name) > 0.1
    assert hqsam("show", "out", "-o", "drawn.png").code == 2
    refused = hqsam("show", "out", "--compare")
    assert refused.code == 2
    assert "run hqsam segment with --compare-sam" in " ".join(refused.err.split())


def test_any_results_file_is_drawn(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    hqsam("segment", photos, "--boxes", "dets.json", "-o", "out", "--format", "coco,ndjson")
    annotations = json.loads(Path("out/instances.json").read_text())["annotations"]
    (photos / "a.jpg").rename(photos / "0011.jpg")
    (photos / "sub/b.png").rename(photos / "sub/12.png")
    masks = [{key: own[key] for key in ("image_id", "category_id", "segmentation", "score")} for own in annotations]
    boxes = [{"image_id": 11, "category_id": 3, "bbox": [25, 25, 70, 70], "score": 0.5}]
    Path("masks.json").write_text(json.dumps(masks))
    Path("boxes.json").write_text(json.dumps(boxes))
    assert "pass their folder as --images" in " ".join(hqsam("show", "masks.json").err.split())
    elsewhere = hqsam("show", "masks.json", "--images", "out", "-o", "drawn")
    assert (elsewhere.code, "no image is named by an image id" in " ".join(elsewhere.err.split())) == (2, True)
    drawn = hqsam("show", "masks.json", "--images", photos, "-o", "drawn")
    assert drawn.code == 0, drawn.err
    pairs = {"drawn/0011.jpg": "0011.jpg", "drawn/sub/12.jpg": "sub/12.png"}
    assert min(changed(tmp_path / picture, photos / name) for picture, name in pairs.items()) > 0.1
    Path("more.json").write_text(json.dumps([*masks, {**masks[0], "image_id": 99}]))
    fewer = hqsam("show", "more.json", "--images", photos, "-o", "drawn")
    assert fewer.code == 0 and f"image ids that name no image in {photos}: 1 (99)" in fewer.err, fewer.err
    assert hqsam("show", "boxes.json", "--images", photos, "-o", "box.png").code == 0
    assert 0.01 < changed(tmp_path / "box.png", photos / "0011.jpg") < 0.2
    (photos / "0011.jpg").rename(photos / "a.jpg")
    (photos / "sub/12.png").rename(photos / "sub/b.png")
    for name in ("instances.json", "instances.ndjson"):
        assert hqsam("show", f"out/{name}", "--images", photos, "-o", name).code == 0
        assert changed(tmp_path / name / "sub/b.jpg", photos / "sub/b.png") > 0.1


def test_pictures_of_images_elsewhere_stay_in_the_output(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    names = ["../a.jpg", str(photos / "sub/b.png")]
    images = [{"id": n, "file_name": name, "width": 160, "height": 120} for n, name in enumerate(names)]
    for image in images:
        with Image.open(photos / str(image["file_name"]).removeprefix("../")) as photo:
            image["width"], image["height"] = photo.size
    Path("names.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    assert hqsam("show", "names.json", "--images", photos / "sub", "-o", "all/drawn").code == 0
    drawn = tmp_path / "all/drawn"
    assert sorted((tmp_path / "all").rglob("*.jpg")) == sorted(
        (drawn / "a.jpg", (drawn / names[1][1:]).with_suffix(".jpg"))
    )
    assert not Path(names[1]).with_suffix(".jpg").exists()


def test_a_picture_is_named_after_its_image_and_never_replaces_it(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    before = (photos / "a.jpg").read_bytes()
    assert hqsam("show", photos / "a.jpg", "--boxes", "dets.json").code == 0
    assert [path.name for path in (tmp_path / "hqsam_shown").iterdir()] == ["a.jpg"]
    for output in (photos, photos / "a.jpg"):
        refused = hqsam("show", photos / "a.jpg", "--boxes", "dets.json", "-o", output)
        assert refused.code == 2 and "would replace this image; pass another folder" in refused.err, refused.err
    assert (photos / "a.jpg").read_bytes() == before
    (photos / "a.png").write_bytes((photos / "sub/b.png").read_bytes())
    assert hqsam("show", photos / "a.jpg", photos / "a.png", "--salient", "-o", "two").code == 0
    assert sorted(path.name for path in (tmp_path / "two").rglob("*.jpg")) == ["a.jpg.jpg", "a.png.jpg"]


def test_sam_beside_hq_sam(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    result = hqsam("show", photos / "a.jpg", "--boxes", "dets.json", "--compare", "-o", "both.png")
    assert result.code == 0, result.err
    with Image.open(tmp_path / "both.png") as picture:
        assert picture.width > 2 * picture.height


def test_what_fails_is_said(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "torn.jpg").write_bytes((photos / "a.jpg").read_bytes()[:200])
    result = hqsam("show", photos, "--boxes", "dets.json", "-o", "shown")
    assert result.code == 3
    assert "torn.jpg" in result.err
    assert sorted(path.name for path in (tmp_path / "shown").rglob("*.jpg")) == ["a.jpg", "b.jpg"]
    assert hqsam("show", "none.jpg").code == 4
    assert hqsam("segment", photos / "torn.jpg", "--salient", "-o", "failed").code == 3
    assert "failed: contains no images that were segmented; see hqsam status failed" in hqsam("show", "failed").err
    Path("results.json").write_text(
        json.dumps({"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}], "annotations": []})
    )
    unplaced = hqsam("show", "results.json")
    assert unplaced.code == 2
    assert "results.json: contains no paths of images; pass their folder as --images" in unplaced.err
    assert hqsam("segment", photos, "--salient", "--overlay", "-o", "-").code == 2
