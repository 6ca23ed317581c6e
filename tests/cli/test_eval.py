"""`hqsam eval` as people run it."""

from __future__ import annotations

import csv
import gzip
import json
import re
import sys
import types
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hqsam_cli.configs import MaskOutput
from hqsam_cli.evaluation.metrics import METRICS, boundary_iou
from hqsam_cli.evaluation.prompts import tight_box
from hqsam_cli.evaluation.protocols import Evaluator, Masks, PreparedImage
from hqsam_cli.io.masks import read_mask
from hqsam_cli.modeling.overlap import iou
from hqsam_cli.records import Prompt
from hqsam_cli.weights.registry import build_model

from .conftest import Run

SAMPLES = Path(__file__).parents[2] / "sample_data"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HQSAM_DATA", raising=False)


@pytest.mark.usefixtures("default_model")
def test_the_sample_data_from_one_command(hqsam: Run, tmp_path: Path) -> None:
    files = ["--json", "r.json", "--per-image", "r.csv", "--plot", "r.png", "--worst", "2", "worst"]
    result = hqsam("eval", "--dataset", "dis", "--data-root", SAMPLES, *files)
    assert result.code == 0 and "mIoU" not in result.err
    assert "mBIoU" in result.out and max(map(len, result.out.splitlines())) < 120
    found = json.loads((tmp_path / "r.json").read_text())
    assert (found["prompt"], found["mask_outputs"], found["datasets"]) == ("box", ["sam", "hq", "sum", "auto"], ["dis"])
    assert [(model["name"], len(model["sha256"])) for model in found["models"]] == [("lite", 64)]
    rows = {row["mask_output"]: row for row in found["rows"]}
    assert list(rows) == ["sam", "hq", "sum", "auto"] and all(row["n"] == 6 for row in rows.values())
    assert {row["protocol"] for row in rows.values()} == {"paper"}
    gains = {(d["mask_output"], d["metric"]): d for d in found["differences"]}
    gain = gains["sum", "mBIoU"]
    assert gain["value"] == pytest.approx(rows["sum"]["figures"]["mBIoU"] - rows["sam"]["figures"]["mBIoU"])
    assert gain["low"] <= gain["value"] <= gain["high"] and gain["against"]["mask_output"] == "sam"
    lines = list(csv.DictReader((tmp_path / "r.csv").read_text().splitlines()))
    assert len(lines) == 24
    mean = np.mean([float(line["IoU"]) for line in lines if line["mask_output"] == "sum"])
    assert 100 * mean == pytest.approx(rows["sum"]["figures"]["mIoU"])
    assert cv2.imread(str(tmp_path / "r.png")) is not None
    worst = sorted((tmp_path / "worst").iterdir())
    ious = sorted(float(line["IoU"]) for line in lines if line["mask_output"] == "auto")
    assert [int(path.stem.rpartition("_")[2]) for path in worst] == [round(100 * value) for value in ious[:2]]


def test_deploy_scores_are_those_of_the_masks_that_segment_writes(hqsam: Run, tmp_path: Path) -> None:
    photos, masks = SAMPLES / "DIS5K/DIS-VD/im", SAMPLES / "DIS5K/DIS-VD/gt"
    gts = {path.stem: read_mask(path) for path in masks.iterdir()}
    boxes: dict[str, list[dict[str, object]]] = {"images": [], "annotations": [], "categories": []}
    for n, (stem, gt) in enumerate(sorted(gts.items()), 1):
        x0, y0, x1, y1 = tight_box(gt)
        boxes["images"].append({"id": n, "file_name": f"{stem}.jpg"})
        box = [x0, y0, x1 - x0 + 1, y1 - y0 + 1]
        boxes["annotations"].append({"id": n, "image_id": n, "category_id": 1, "bbox": box})
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    assert hqsam("segment", photos, "--boxes", "boxes.json", "--raw", "-o", "out").code == 0
    scores = []
    for n, (stem, gt) in enumerate(sorted(gts.items()), 1):
        mask = read_mask(tmp_path / f"out/masks/{stem}.jpg/{n}.png")
        scores.append((iou(mask, gt), boundary_iou(mask, gt)))
    options = ("--protocol", "deploy", "--mask-output", "sum", "--json", "r.json")
    assert hqsam("eval", "--dataset", "dis", "--data-root", SAMPLES, *options).code == 0
    (row,) = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [row["figures"]["mIoU"], row["figures"]["mBIoU"]] == pytest.approx(list(100 * np.mean(scores, axis=0)))


def test_every_model_on_every_set_in_one_table(hqsam: Run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = build_model("vit_tiny", image_size=128, device="cpu").state_dict()
    save_file(state, tmp_path / "other.safetensors", metadata={"image_size": "128"})
    own = tmp_path / "own"
    for part in ("im", "gt"):
        (own / part).mkdir(parents=True)
        for path in sorted((SAMPLES / "DIS5K/DIS-VD" / part).iterdir())[:2]:
            (own / part / path.name).write_bytes(path.read_bytes())
    sets = ("--dataset", "dis", "--dataset", "own", "--data-root", SAMPLES, "--limit", "2")
    models = ("--model", "lite", "--model", "other.safetensors")
    result = hqsam(
        "eval", *sets, *models, "--mask-output", "sum", "--mask-output", "sam", "--json", "-", "--worst", "1", "w"
    )
    assert result.code == 0, result.err
    found = json.loads(result.out)
    rows = [(row["model"], row["dataset"], row["protocol"], row["mask_output"]) for row in found["rows"]]
    assert rows == [
        (model, *place, output)
        for model in ("lite", "other.safetensors")
        for place in (("dis", "paper"), ("own", "deploy"))
        for output in ("sam", "sum")
    ]
    assert [model["image_size"] for model in found["models"]] == [1024, 128]
    against = [
        (d["against"]["model"], d["against"]["mask_output"]) for d in found["differences"] if d["metric"] == "mIoU"
    ]
    assert against == [("lite", "sam")] * 3 + [("other.safetensors", "sam"), ("lite", "sum")] + [("lite", "sam")] + [
        ("other.safetensors", "sam"),
        ("lite", "sum"),
    ]
    assert len(list((tmp_path / "w").rglob("*.png"))) == 2


def test_folders_of_one_name_are_told_apart(hqsam: Run, tmp_path: Path) -> None:
    for place in ("a/own", "b/own"):
        for part in ("im", "gt"):
            (tmp_path / place / part).mkdir(parents=True)
            for path in sorted((SAMPLES / "DIS5K/DIS-VD" / part).iterdir())[:1]:
                (tmp_path / place / part / path.name).write_bytes(path.read_bytes())
    options = ("--mask-output", "sam", "--mask-output", "sum", "--json", "-")
    result = hqsam("eval", "--dataset", "a/own", "--dataset", "b/own", *options)
    found = json.loads(result.out)
    assert [row["dataset"] for row in found["rows"]] == ["a/own", "a/own", "b/own", "b/own"]
    assert {difference["dataset"] for difference in found["differences"]} == {"a/own", "b/own"}


def test_points_are_plotted_against_their_number(hqsam: Run, tmp_path: Path) -> None:
    options = ("--prompt", "points:1,3", "--limit", "1", "--mask-output", "sum", "--plot", "r.svg", "--json", "r.json")
    assert hqsam("eval", "--dataset", "dis", "--data-root", SAMPLES, *options).code == 0
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [row["curve"] for row in rows] == [
        {"x": [n], "y": [row["figures"]["mIoU"]]} for n, row in zip((1, 3), rows, strict=True)
    ]
    assert "<svg" in (tmp_path / "r.svg").read_text()


def test_the_worst_of_a_set_of_many_objects(hqsam: Run, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    (folder / "images/sub").mkdir(parents=True)
    document: dict[str, list[dict[str, object]]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "x"}],
    }
    for n in range(2):
        pixels = np.zeros((60, 80, 3), np.uint8)
        pixels[10:30, 10:40] = 200
        cv2.imwrite(str(folder / f"images/sub/{n}.png"), pixels)
        document["images"].append({"id": n, "file_name": f"sub/{n}.png", "width": 80, "height": 60})
        shape = [[10, 10, 40, 10, 40, 30, 10, 30]]
        document["annotations"].append(
            {"id": n, "image_id": n, "category_id": 1, "bbox": [10, 10, 30, 20], "segmentation": shape}
        )
    (folder / "annotations.json").write_text(json.dumps(document))
    result = hqsam("eval", "--dataset", "own", "--worst", "1", "w", "--mask-output", "sam")
    assert result.code == 0, result.err
    (picture,) = (tmp_path / "w").iterdir()
    assert picture.name.startswith("001_own_sub_")
    refused = hqsam("eval", "--dataset", "own", "--worst", "1", "w", "--detections", "d.json")
    assert refused.code == 2 and "--worst: only for images with their own ground truth" in refused.err
    plain = hqsam("eval", "--dataset", "own", "--mask-output", "sam").out
    (folder / "annotations.json.gz").write_bytes(gzip.compress((folder / "annotations.json").read_bytes()))
    (folder / "annotations.json").unlink()
    assert hqsam("eval", "--dataset", "own", "--mask-output", "sam").out == plain != ""


def test_clicks_and_their_curve(hqsam: Run, tmp_path: Path) -> None:
    options = ["--prompt", "clicks", "--limit", "1", "--mask-output", "sam", "--json", "r.json", "--plot", "r.svg"]
    assert hqsam("eval", "--dataset", "dis", "--data-root", SAMPLES, *options).code == 0
    (row,) = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert set(row["figures"]) == {"NoC@80", "NoC@85", "NoC@90", ">=20@90"}
    assert len(row["curve"]["y"]) == 20
    assert "<svg" in (tmp_path / "r.svg").read_text()


def test_the_list_says_what_is_there(hqsam: Run) -> None:
    result = hqsam("eval", "--list", "--data-root", SAMPLES)
    found = [line.split()[0] for line in result.out.splitlines() if " yes " in line]
    assert result.code == 0 and found == ["dis"]
    assert "DIS5K.zip" in result.out and "lvis_v1_val.json" in result.out


def test_broken_pairs_are_exit_code_three(hqsam: Run, tmp_path: Path) -> None:
    for part in ("im", "gt"):
        (tmp_path / "own" / part).mkdir(parents=True)
        for path in sorted((SAMPLES / "DIS5K/DIS-VD" / part).iterdir())[:2]:
            (tmp_path / "own" / part / path.name).write_bytes(path.read_bytes())
    next(iter(sorted((tmp_path / "own/gt").iterdir()))).unlink()
    result = hqsam("eval", "--dataset", "own", "--mask-output", "sam")
    assert result.code == 3
    assert (
        "gt/01_wheel.png: the mask is missing" in result.err and "failed images are not in the scores: 1" in result.err
    )


def test_masks_of_no_image_are_counted_and_strict_makes_them_a_failure(hqsam: Run, tmp_path: Path) -> None:
    for part in ("im", "gt"):
        (tmp_path / "own" / part).mkdir(parents=True)
        for path in sorted((SAMPLES / "DIS5K/DIS-VD" / part).iterdir())[:2]:
            (tmp_path / "own" / part / path.name).write_bytes(path.read_bytes())
    next(iter(sorted((tmp_path / "own/im").iterdir()))).unlink()
    command = ("eval", "--dataset", "own", "--mask-output", "sam")
    lenient = hqsam(*command)
    assert lenient.code == 0 and "own: masks without an image: 1, first own/gt/01_wheel.png" in lenient.err
    assert hqsam(*command, "--strict", "--json", "own.json").code == 3
    said = json.loads((tmp_path / "own.json").read_text())["problems"]
    assert said == ["own: masks without an image: 1, first own/gt/01_wheel.png"]


def test_empty_masks_are_in_the_json(hqsam: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(evaluator: Evaluator, image: PreparedImage, prompts: list[Prompt]) -> dict[MaskOutput, Masks]:
        return {own: ([np.zeros(image.size, bool) for _ in prompts], [0.5] * len(prompts)) for own in evaluator.outputs}

    monkeypatch.setattr(Evaluator, "masks", empty)
    command = ("eval", "--dataset", "dis", "--data-root", SAMPLES, "--limit", "1", "--mask-output", "sam")
    assert hqsam(*command, "--strict", "--json", "own.json").code == 0
    made = json.loads((tmp_path / "own.json").read_text())
    assert (made["problems"], made["notes"]) == ([], ["DIS5K-VD: images with empty predicted masks, sam: 1 (01_wheel)"])


def test_a_plain_sam_has_one_row(hqsam: Run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = build_model("vit_tiny", has_hq=False, image_size=128, device="cpu").state_dict()
    save_file(state, tmp_path / "plain.safetensors", metadata={"image_size": "128"})
    command = ("eval", "--dataset", "dis", "--data-root", SAMPLES, "--model", "plain.safetensors", "--limit", "1")
    assert hqsam(*command, "--json", "r.json").code == 0
    assert [row["mask_output"] for row in json.loads((tmp_path / "r.json").read_text())["rows"]] == ["sam"]
    refused = hqsam(*command, "--mask-output", "hq")
    assert refused.code == 2 and "plain SAM" in refused.err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "--dataset: required; see --list"),
        (["photos"], 2, "photos: files are for --compare; pass data sets as --dataset"),
        (["--compare", "one.json"], 2, "--compare: requires two or more files"),
        (["--dataset", "ecssd"], 1, "so that --data-root contains cascade_psp/ecssd\n"),
        (["--dataset", "hrsod"], 1, "download thin_object_detection.zip (2.45 GB)"),
        (["--dataset", "nothing"], 2, "neither a folder nor one of dis"),
        (["--dataset", "dis", "--prompt", "boxes"], 2, "use box, box-noise:0.2"),
        (["--dataset", "dis", "--prompt", "clicks", "--protocol", "paper"], 2, "omit --protocol paper"),
        (["--dataset", "dis", "--windows", "on"], 2, "--windows on: --protocol paper segments whole images"),
        (["--dataset", "dis", "--plot", "curve.xyz"], 2, "use .png, .pdf or .svg"),
        (["--dataset", "dis", "--data-root", str(SAMPLES), "--detections", "d.json"], 2, "--detections: only for"),
    ],
)
def test_what_cannot_be_evaluated(hqsam: Run, options: list[str], code: int, message: str) -> None:
    result = hqsam("eval", *options)
    assert result.code == code
    assert message in result.err and "Traceback" not in result.err


def test_refined_masks_are_one_more_row(hqsam: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for CascadePSP's package, with its interface: it takes and gives masks of 0 and 255."""

    class Refiner:
        def __init__(self, device: str) -> None:
            print("downloading")
            assert device == "cpu"

        def refine(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
            assert image.shape[:2] == mask.shape and set(np.unique(mask)) <= {0, 255}
            return np.full_like(mask, 255)

    monkeypatch.setitem(sys.modules, "segmentation_refinement", types.SimpleNamespace(Refiner=Refiner))
    result = hqsam("eval", "--dataset", "dis", "--data-root", SAMPLES, "--limit", "1", "--refine", "--json", "r.json")
    assert result.code == 0 and "downloading" not in result.out
    rows = {row["mask_output"]: row["figures"] for row in json.loads((tmp_path / "r.json").read_text())["rows"]}
    gt = read_mask(SAMPLES / "DIS5K/DIS-VD/gt/01_wheel.png")
    assert rows["sam+cascadepsp"]["mIoU"] == pytest.approx(100 * gt.mean())
    assert set(rows) == {"sam", "hq", "sum", "auto", "sam+cascadepsp"}


def test_without_the_package_refinement_says_what_to_install(hqsam: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_refinement", None)
    result = hqsam("eval", "--dataset", "dis", "--data-root", SAMPLES, "--refine")
    assert result.code == 2 and "pip install 'hqsam-cli[refine]'" in result.err


@pytest.mark.parametrize(
    "options", [["--json", "gone/f.json"], ["--per-image", "imgs"], ["--plot", "gone/p.png"], ["--worst", "1", "gone"]]
)
def test_an_output_that_cannot_be_written_is_said_before_anything_is_scored(
    hqsam: Run, tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "gone").write_text("a file")
    (tmp_path / "imgs").mkdir()
    result = hqsam("eval", "--dataset", "dis", "--data-root", SAMPLES, *options)
    assert result.code == 1
    assert "cannot be written" in result.err and "Traceback" not in result.err and "6 images" not in result.err


def test_a_page_of_an_evaluation(hqsam: Run, tmp_path: Path) -> None:
    result = hqsam(
        "eval", "--dataset", "dis", "--data-root", SAMPLES, "--limit", "3", "--report", "page", "--json", "r"
    )
    assert result.code == 0, result.err
    page = (tmp_path / "page" / "index.html").read_text()
    row = json.loads((tmp_path / "r").read_text())["rows"][-1]
    assert f"{row['figures']['mBIoU']:.1f}" in page
    sources = re.findall(r'src="([^"]+)"', page)
    assert sum("worst/" in source for source in sources) == sum("best/" in source for source in sources) == 3
    assert {"curves.svg", "scatter-1.svg"} < set(sources)
    assert all((tmp_path / "page" / unquote(source)).is_file() for source in sources)


def test_evaluations_are_compared(hqsam: Run, tmp_path: Path) -> None:
    for name, limit in (("one.json", "3"), ("two.json", "2")):
        options = ("--limit", limit, "--mask-output", "sum", "--json", name)
        assert hqsam("eval", "--dataset", "dis", "--data-root", SAMPLES, *options).code == 0
    # The second as if every mask of it were better by ten.
    document = json.loads((tmp_path / "two.json").read_text())
    for samples in document["rows"][0]["images"].values():
        for own in samples.values():
            own[0] += 10
    (tmp_path / "two.json").write_text(json.dumps(document))
    result = hqsam("eval", "--compare", "one.json", "two.json")
    assert result.code == 0, result.err
    (line,) = [line for line in result.out.splitlines() if "one.json" in line and "two.json" in line]
    assert line.count("+10.0 [+10.0, +10.0]") == len(METRICS)
    assert " 2 " in line, "over the images of both"
    assert hqsam("eval", "--compare", "one.json").code == 2
    assert hqsam("eval", "one.json").code == 2
    (tmp_path / "other.json").write_text("{}")
    refused = hqsam("eval", "--compare", "one.json", "other.json")
    assert refused.code == 1 and "other.json" in refused.err
