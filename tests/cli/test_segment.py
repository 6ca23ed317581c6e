"""`hqsam segment` from the outside."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from hqsam_cli import __version__
from hqsam_cli.detection import yolo
from hqsam_cli.weights.hub import file_hash
from hqsam_cli.weights.registry import PACKAGED
from tests.cli.conftest import Run


def disc(center: int) -> np.ndarray:
    y, x = np.mgrid[:120, :160]
    return (x - center) ** 2 + (y - 60) ** 2 < 35**2


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


@pytest.mark.usefixtures("default_model")
def test_the_bare_command_writes_coco_and_masks_and_says_where(hqsam: Run, photos: Path) -> None:
    result = hqsam("segment", photos, "--boxes", "dets.json")
    assert result.code == 0
    assert result.out == ""
    assert "--model vit_l" in result.err
    assert "hqsam_out/instances.json" in result.err
    coco = COCO("hqsam_out/instances.json")
    assert {image["file_name"]: image["id"] for image in coco.imgs.values()} == {"a.jpg": 11, "sub/b.png": 12}
    assert coco.cats == {3: {"id": 3, "name": "disc"}}
    assert sorted(coco.anns) == [5, 7, 8]
    for number, name, center in ((5, "a.jpg", 60), (7, "sub/b.png", 90)):
        annotation = coco.anns[number]
        mask = coco_mask.decode(annotation["segmentation"]).astype(bool)
        assert overlap(mask, disc(center)) > 0.9
        png = np.asarray(cv2.imread(f"hqsam_out/masks/{name}/{number}.png", cv2.IMREAD_GRAYSCALE))
        assert np.array_equal(png > 0, mask)
        assert annotation["area"] == mask.sum()
        assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()
        assert annotation["iscrowd"] == 0
    first = coco.anns[5]
    assert first["score"] == pytest.approx(min(1, max(0, 0.5 * first["predicted_iou"])), abs=1e-6)


def test_again_is_already_done_and_other_flags_are_refused_by_name(hqsam: Run, photos: Path) -> None:
    arguments = ("segment", photos, "--boxes", "dets.json", "--format", "coco")
    assert hqsam(*arguments).code == 0
    before = Path("hqsam_out/instances.json").read_bytes()
    again = hqsam(*arguments)
    assert again.code == 0
    assert "2 of 2 images already done" in again.err and "continuing" not in again.err
    assert Path("hqsam_out/instances.json").read_bytes() == before
    other = hqsam(*arguments, "--format", "yolo-seg")
    assert other.code == 2 and "hqsam results convert hqsam_out writes these results as other labels" in other.err
    changed = hqsam(*arguments, "--mask-output", "hq")
    assert changed.code == 2
    assert "--mask-output was sum, is hq" in changed.err and "results convert" not in changed.err
    assert hqsam(*arguments, "--mask-output", "hq", "--overwrite").code == 0
    assert Path("hqsam_out/instances.json").read_bytes() != before


def test_images_of_an_earlier_command_keep_their_names_however_they_are_listed(
    hqsam: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hqsam("segment", photos, "--boxes", "dets.json", "-o", "out")
    images = json.loads(Path("out/instances.json").read_text())["images"]
    again = hqsam("segment", photos / "a.jpg", photos / "sub/b.png", "--boxes", "dets.json", "-o", "out")
    assert again.code == 0 and "2 of 2 images already done" in again.err, again.err
    assert json.loads(Path("out/instances.json").read_text())["images"] == images
    assert sorted(path.name for path in Path("out/masks").iterdir()) == ["a.jpg", "sub"]
    monkeypatch.chdir(photos)
    over = hqsam("segment", "sub/b.png", "--boxes", "../dets.json", "-o", "../again", "--overwrite")
    moved = hqsam("segment", "sub", "--boxes", "../dets.json", "-o", "../again")  # b.png below this folder
    assert over.code == moved.code == 0 and "already done" in moved.err, moved.err
    assert [own["file_name"] for own in json.loads(Path("../again/instances.json").read_text())["images"]] == [
        "sub/b.png"
    ]


def test_ndjson_on_stdout_alone(hqsam: Run, photos: Path) -> None:
    result = hqsam("segment", photos, "--boxes", "dets.json", "--output", "-")
    assert result.code == 0
    assert [
        (line["file_name"], line["image_id"], len(line["annotations"]), line["error"]) for line in result.lines
    ] == [
        ("a.jpg", 11, 1, None),
        ("sub/b.png", 12, 2, None),
    ]
    assert not Path("hqsam_out").exists()
    refused = hqsam("segment", photos, "--boxes", "dets.json", "--output", "-", "--format", "png")
    assert refused.code == 2


def test_images_without_a_command_name_the_command(hqsam: Run, photos: Path) -> None:
    assert "no such command 'imgs'; for images: hqsam segment imgs\n" in hqsam("imgs").err
    assert "no such command 'gone'; see hqsam --help\n" in hqsam("gone").err


def test_paths_and_boxes_through_pipes(hqsam: Run, photos: Path) -> None:
    names = hqsam("segment", "-", "--boxes", "dets.json", "-o", "-", stdin=b"imgs/a.jpg\nimgs/sub/b.png\n")
    assert [len(line["annotations"]) for line in names.lines] == [1, 2]
    zero = hqsam("segment", "-0", "-", "--boxes", "dets.json", "-o", "-", stdin=b"imgs/a.jpg\0")
    assert [line["file_name"] for line in zero.lines] == ["imgs/a.jpg"]
    piped = hqsam("segment", photos, "--boxes", "-", "-o", "-", stdin=names.out.encode())
    assert [len(line["annotations"]) for line in piped.lines] == [1, 2]
    assert hqsam("segment", "-", "--boxes", "-", stdin=b"").code == 2


def test_boxes_and_points_of_one_image_are_typed(hqsam: Run, photos: Path) -> None:
    boxes = hqsam("segment", photos / "a.jpg", "--box", "25,25,95,95", "--box", "0,0,30,30", "-f", "coco,png")
    assert boxes.code == 0, boxes.err
    first, second = COCO("hqsam_out/instances.json").anns.values()
    assert overlap(coco_mask.decode(first["segmentation"]).astype(bool), disc(60)) > 0.9
    assert [own["prompt_box"] for own in (first, second)] == [[25, 25, 70, 70], [0, 0, 30, 30]]
    assert len(list(Path("hqsam_out/masks").rglob("*.png"))) == 2
    points = hqsam("segment", photos / "a.jpg", "--point", "60,60", "--point", "150,10,0", "-o", "-")
    (found,) = points.lines[0]["annotations"]
    assert overlap(coco_mask.decode(found["segmentation"]).astype(bool), disc(60)) > 0.8


def test_points_masks_frame_and_multimask(hqsam: Run, photos: Path) -> None:
    Path("points.json").write_text(
        json.dumps(
            {
                "images": [{"id": 11, "file_name": "a.jpg"}],
                "annotations": [{"id": 5, "image_id": 11, "points": [[60, 60, 1], [150, 10, 0]]}],
            }
        )
    )
    points = hqsam("segment", photos, "--points", "points.json", "-o", "-")
    assert [len(line["annotations"]) for line in points.lines] == [1, 0]
    joined = hqsam("segment", photos, "--points", "points.json", "--boxes", "dets.json", "-o", "-")
    assert [len(line["annotations"]) for line in joined.lines] == [1, 2]
    assert joined.lines[0]["annotations"][0]["predicted_iou"] != points.lines[0]["annotations"][0]["predicted_iou"]

    Path("coarse/a.jpg").mkdir(parents=True)
    Image.fromarray(disc(60).astype(np.uint8) * 255).save("coarse/a.jpg/5.png")
    coarse = hqsam("segment", photos, "--coarse-masks", "coarse", "-o", "-")
    assert [len(line["annotations"]) for line in coarse.lines] == [1, 0]

    frame = hqsam("segment", photos, "--salient", "-o", "-")
    assert [len(line["annotations"]) for line in frame.lines] == [1, 1]

    three = hqsam("segment", photos, "--boxes", "dets.json", "--multimask", "-o", "-")
    annotations = three.lines[0]["annotations"]
    assert [(a["prompt_id"], a["mask_index"]) for a in annotations] == [(5, 0), (5, 1), (5, 2)]
    assert len({a["id"] for line in three.lines for a in line["annotations"]}) == 9


def test_id_maps(hqsam: Run, photos: Path) -> None:
    assert hqsam("segment", photos, "--boxes", "dets.json", "-f", "idmap", "-f", "ndjson").code == 0
    ids = np.asarray(cv2.imread("hqsam_out/idmaps/sub/b.png.png", cv2.IMREAD_UNCHANGED))
    assert ids.dtype == np.uint16
    assert set(np.unique(ids)) <= {0, 1, 2}
    lines = [json.loads(line) for line in Path("hqsam_out/instances.ndjson").read_text().splitlines()]
    assert [line["file_name"] for line in lines] == ["a.jpg", "sub/b.png"]
    assert not Path("hqsam_out/masks").exists()


def test_bad_images_are_named_and_harm_no_other(hqsam: Run, photos: Path) -> None:
    (photos / "empty.jpg").write_bytes(b"")
    whole = (photos / "a.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("L", (200, 200)).save(photos / "large.png")
    result = hqsam("segment", photos, "--boxes", "dets.json", "--max-pixels", "30000")
    assert result.code == 3
    failures = [line for line in result.err.splitlines() if "failed:" in line]
    assert len(failures) == 3
    assert all(any(name in line for line in failures) for name in ("empty.jpg", "cut.jpg", "large.png"))
    coco = COCO("hqsam_out/instances.json")
    assert sorted(coco.anns) == [5, 7, 8]


def test_boxes_of_another_size_and_names_that_leave_the_folder(hqsam: Run, photos: Path) -> None:
    document = json.loads(Path("dets.json").read_text())
    document["images"][0] |= {"width": 320, "height": 240}
    document["images"].append({"id": 13, "file_name": "../secret.jpg"})
    document["annotations"].append({"id": 9, "image_id": 13, "bbox": [0, 0, 5, 5]})
    Path("other.json").write_text(json.dumps(document))
    result = hqsam("segment", photos, "--boxes", "other.json")
    assert result.code == 3
    assert "320 x 240" in result.err
    assert "../secret.jpg" in result.err
    assert sorted(COCO("hqsam_out/instances.json").anns) == [7, 8]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["imgs", "--boxes", "dets.json", "--salient"], 2, "--salient"),
        (["imgs", "--boxes", "dets.json", "--objects"], 2, "--objects selects from the masks found without prompts"),
        (["imgs/a.jpg", "--point", "9,9", "--objects"], 2, "--objects selects"),
        (["imgs", "--salient", "--objects"], 2, "--objects selects"),
        (["imgs", "--boxes", "gone.json"], 1, "gone.json"),
        (["imgs", "--boxes", "imgs/a.jpg"], 1, "an image (JPEG)"),
        (["nothing*.jpg", "--salient"], 4, "no image"),
        (["imgs", "--salient", "--device", "cuda:99"], 2, "cuda:99"),
        (["imgs", "--salient", "--dtype", "int4"], 2, "int4"),
        (["imgs", "--salient", "--model", "vit_x"], 2, "vit_x"),
        (["imgs", "--salient", "--mask-output", "best"], 2, "best"),
        (["imgs", "--salient", "--model", "sam_vit_h"], 2, "pass --mask-output sam"),
        (["imgs", "--images-json", "dets.json"], 2, "add --boxes"),
        (["imgs", "--salient", "--output", "dets.json"], 1, "dets.json"),
        (["gone.jpg", "--salient"], 4, "gone.jpg"),
        (["film.mp4", "--salient"], 4, "a video"),
        (["scan.pdf", "--salient"], 4, "a PDF"),
        (["imgs", "--salient", "--batch-size", "0"], 2, "--batch-size: must be"),
        (["imgs", "--boxs", "dets.json"], 2, "--boxes"),
        (["imgs", "--box", "1,2,9,9"], 2, "--box: applies to one image, and there are 2"),
        (["imgs/a.jpg", "--box", "9,9,1,2"], 2, "--box 9,9,1,2: not a box; pass X0,Y0,X1,Y1"),
        (["imgs/a.jpg", "--box", "0.1,0.2,0.6,0.7"], 2, "--box 0.1,0.2,0.6,0.7: not a box"),
        (["imgs/a.jpg", "--box", "1,2,9,9", "--box-format", "xywh"], 2, "--box-format: applies to files"),
        (["imgs/a.jpg", "--box", "1,2,9,9", "--boxes", "dets.json"], 2, "--box cannot be combined"),
        (["imgs/a.jpg", "--point", "1,2,7"], 2, "--point 1,2,7: not a point"),
        (["imgs/a.jpg", "--point", "1,2", "--box", "1,2,9,9", "--box", "1,2,8,8"], 2, "several boxes"),
        (["imgs/a.jpg", "--box", "900,2,990,9"], 1, "(900, 2, 990, 9) lies outside the image of 160 x 120 pixels"),
        (["gone", "--dtype", "int4"], 2, "int4"),
        (["gone", "--max-errors", "few"], 2, "--max-errors few"),
        (["imgs", "--salient", "--format", "coco,gif"], 2, "--format gif: unknown format"),
        ([], 2, "missing argument 'INPUT'"),
        (["imgs", "--boxes", "-", "--images-json", "-"], 2, "stdin can only be read once"),
    ],
)
def test_mistakes_end_in_one_line_and_their_exit_code(
    hqsam: Run, photos: Path, arguments: list[str], code: int, said: str
) -> None:
    result = hqsam("segment", *arguments)
    assert result.code == code
    assert said in result.err
    assert "Traceback" not in result.err
    assert result.err.splitlines()[-1].startswith("hqsam: error: ") and result.out == ""


def test_a_dry_run_says_what_is_done_and_left_and_what_would_be_refused(hqsam: Run, photos: Path) -> None:
    command = ("segment", photos, "--boxes", "dets.json", "-f", "coco")

    def plan(*more: str) -> dict[str, str]:
        result = hqsam(*command, "--dry-run", *more)
        assert result.code == 0, result.err
        return {row[0]: row[1].strip() for row in (line.split(maxsplit=1) for line in result.out.splitlines())}

    assert plan() | {"done": "0", "left": "2", "prompts": "3, in 2 images"} == plan()
    assert not Path("hqsam_out").exists()
    assert hqsam(*command).code == 0
    assert plan()["done"] == "2" and plan("--overwrite")["done"] == "0"
    assert "overwritten" not in plan() and plan("--overwrite")["overwritten"] == "all earlier results in hqsam_out"
    refused = hqsam(*command, "--dry-run", "--mask-output", "sam")
    assert refused.code == 2 and "--mask-output was sum, is sam" in refused.err


def test_lost_prompts_are_counted_and_strict_makes_them_a_failure(hqsam: Run, photos: Path) -> None:
    document = json.loads(Path("dets.json").read_text())
    document["images"].append({"id": 13, "file_name": "gone.jpg"})
    document["annotations"].append({"id": 9, "image_id": 13, "bbox": [0, 0, 5, 5]})
    Path("more.json").write_text(json.dumps(document))
    command = ("segment", photos, "-f", "coco", "--boxes")
    lenient = hqsam(*command, "more.json", "-o", "one")
    assert lenient.code == 0 and "prompts that match no input: 1 (gone.jpg)" in lenient.err
    assert hqsam(*command, "more.json", "-o", "two", "--strict").code == 3
    assert hqsam(*command, "dets.json", "-o", "three", "--strict").code == 0
    document["annotations"][-1] |= {"image_id": 11, "bbox": [500, 500, 5, 5]}
    Path("outside.json").write_text(json.dumps(document))
    assert hqsam(*command, "outside.json", "-o", "four", "--strict").code == 3


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ([[200, 200, 30, 30]], "no prompt lies inside its image"),
        ([[60, 40, 150, 110], [20, 30, 159, 119], [80, 10, 150, 100]], "--box-format xyxy"),
    ],
)
def test_boxes_that_no_image_can_have_are_a_failure_before_the_model(
    hqsam: Run, photos: Path, boxes: list[list[float]], said: str
) -> None:
    found = [{"image_id": "a", "bbox": box, "score": 0.5} for box in boxes]
    Path("found.json").write_text(json.dumps(found))
    result = hqsam("segment", photos, "--boxes", "found.json")
    assert result.code == 1 and said in result.err.splitlines()[-1] and not Path("hqsam_out").exists()


def test_a_run_that_is_done_ends_again_as_it_did(hqsam: Run, photos: Path) -> None:
    document = json.loads(Path("dets.json").read_text())
    document["annotations"][-1]["bbox"] = [500, 500, 5, 5]
    Path("dets.json").write_text(json.dumps(document))
    command = ("segment", photos, "--boxes", "dets.json")
    assert [hqsam(*command).code for _ in range(2)] == [0, 0]


@pytest.mark.usefixtures("default_model")
@pytest.mark.parametrize("options", [[], ["--mask-output", "sum"]])
def test_masks_of_lite_are_those_of_auto_by_default(hqsam: Run, photos: Path, options: list[str]) -> None:
    assert hqsam("segment", photos, "--boxes", "dets.json", "-f", "coco", *options).code == 0
    info = json.loads(Path("hqsam_out/instances.json").read_text())["info"]
    assert info["mask_output"] == (options[-1] if options else "auto")
    again = hqsam("segment", photos, "--boxes", "dets.json", "-f", "coco", "--mask-output", "hq")
    assert again.code == 2 and f"was {info['mask_output']}, is hq" in again.err


@pytest.mark.usefixtures("default_model")
def test_the_json_says_what_made_it(hqsam: Run, photos: Path) -> None:
    assert hqsam("segment", photos, "--boxes", "dets.json", "-f", "coco", "--mask-output", "hq").code == 0
    info = json.loads(Path("hqsam_out/instances.json").read_text())["info"]
    assert (info["version"], info["model"], info["mask_output"], info["detector"]) == (__version__, "lite", "hq", None)
    assert info["model_sha256"] == file_hash(PACKAGED["lite"])
    assert info["command"].startswith("hqsam segment ") and info["date_created"].endswith("+00:00")


def test_boxes_that_come_later_are_no_other_run(hqsam: Run, photos: Path) -> None:
    document = json.loads(Path("dets.json").read_text())
    everything = document["annotations"]
    command = ("segment", photos, "--boxes", "dets.json")
    Path("dets.json").write_text(json.dumps(document | {"annotations": everything[:1]}))
    assert hqsam(*command).code == 0
    Path("dets.json").write_text(json.dumps(document))
    again = hqsam(*command)
    assert again.code == 0 and "1 of 2 images already done" in again.err
    assert sorted(COCO("hqsam_out/instances.json").anns) == [5, 7, 8]
    assert Path("hqsam_out/masks/sub/b.png/8.png").exists()


def test_every_image_alone_is_what_it_is_in_company(hqsam: Run, photos: Path) -> None:
    command = ("segment", photos, "--boxes", "dets.json", "-f", "coco", "--batch-size")
    for size in ("1", "2"):
        assert hqsam(*command, size, "-o", size).code == 0
    one, two = (json.loads(Path(size, "instances.json").read_text()) for size in ("1", "2"))
    assert one["annotations"] == two["annotations"]


def test_an_output_among_the_inputs_is_none_of_them(hqsam: Run, photos: Path) -> None:
    arguments = ("segment", photos, "--boxes", "dets.json", "--format", "png", "--output", photos)
    assert hqsam(*arguments).code == 0
    assert "2 of 2 images already done" in hqsam(*arguments).err


def test_boxes_need_no_ultralytics_and_a_detector_says_so(
    hqsam: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    yolo._imported.cache_clear()
    assert hqsam("segment", photos, "--boxes", "dets.json").code == 0
    refused = hqsam("segment", photos, "-o", "detected")
    assert refused.code == 1
    assert "needs ultralytics" in refused.err and "--boxes" in refused.err and "Traceback" not in refused.err


def test_an_upgrade_continues_unless_its_results_are_others(
    hqsam: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("segment", photos, "--boxes", "dets.json")
    assert hqsam(*arguments).code == 0
    monkeypatch.setattr("hqsam_cli.configs.run_identity.__version__", "9.9.9")
    continued = hqsam(*arguments)
    assert continued.code == 0 and "2 already done" in continued.err
    monkeypatch.setattr("hqsam_cli.configs.run_identity.RESULTS_REVISION", 10**6)
    refused = hqsam(*arguments)
    assert refused.code == 2 and "results_revision was" in refused.err and str(10**6) in refused.err


def test_prompts_that_are_all_lost_are_a_failure_before_the_model_is_loaded(
    hqsam: Run, photos: Path, tmp_path: Path
) -> None:
    document = json.loads((tmp_path / "dets.json").read_text())
    for image in document["images"]:
        image["file_name"] = f"other/{image['id']}.jpg"
    (tmp_path / "other.json").write_text(json.dumps(document))
    (tmp_path / "broken.pth").write_bytes(b"no model")
    lost = hqsam("segment", photos, "--boxes", "other.json", "--model", "broken.pth")
    assert lost.code == 1
    (line,) = [line for line in lost.err.splitlines() if "error:" in line]
    assert all(part in line for part in ("other.json", "3 prompts", "other/11.jpg", "a.jpg, sub/b.png"))

    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "c.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    assert hqsam("segment", photos, "--boxes", "labels", "-o", "two").code == 1
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "classes.txt").write_text("disc\n")
    (tmp_path / "empty" / "a.txt").touch()
    assert hqsam("segment", photos, "--boxes", "empty", "-o", "four").code == 0
    document["annotations"] = []
    (tmp_path / "none.json").write_text(json.dumps(document))
    assert hqsam("segment", photos, "--boxes", "none.json", "-o", "three").code == 0  # nothing given, nothing lost
