"""`hqsam train` as people run it: to the end, killed in between, with bad data, and by several processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from hqsam_cli.recipes.scenes import render_scene
from hqsam_cli.weights.checkpoints import read_state
from hqsam_cli.weights.conversion import is_hq
from hqsam_cli.weights.registry import PACKAGED
from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_data" / "DIS5K" / "DIS-VD"
SMALL = ("--image-size", "64", "--batch-size", "2", "--workers", "0", "--device", "cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small images with a mask each, .jpg beside .png."""
    root = tmp_path_factory.mktemp("flat")
    for number in range(8):
        scene = render_scene(np.random.default_rng(number), 72, 96, objects=1, kinds=["blob"])
        cv2.imwrite(str(root / f"{number}.jpg"), scene.image[..., ::-1])
        cv2.imwrite(str(root / f"{number}.png"), scene.masks[0].astype(np.uint8) * 255)
    return root


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return read_state(path)[0]


def lite_without_iou_head() -> dict[str, torch.Tensor]:
    """The state of `lite` without the head for the predicted IoU, which does not fit the masks of other HQ modules."""
    return {key: value for key, value in tensors(PACKAGED["lite"]).items() if "hf_iou_head" not in key}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def test_from_photos_to_a_model_that_segments(hqsam: Run, tmp_path: Path) -> None:
    ended = hqsam("train", "--data", SAMPLES, "--val", SAMPLES, "--epochs", 2, *SMALL, "-o", "run", "--json")
    assert ended.code == 0, ended.err
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "hqsam.safetensors", "hq_only.safetensors", "metrics.jsonl", "metrics.png", "train.pt",
    }  # fmt: skip
    state, metadata = read_state(tmp_path / "run" / "hqsam.safetensors")
    base = lite_without_iou_head()
    assert state.keys() == base.keys()
    for key, value in base.items():
        if not is_hq(key):
            assert state[key].dtype == value.dtype
            assert torch.equal(state[key], value)
    learned = tensors(tmp_path / "run" / "hq_only.safetensors")
    assert all(torch.equal(value, state[key]) for key, value in learned.items())
    assert not any(torch.equal(value, base[key].float()) for key, value in learned.items())

    assert "base model, hq: mIoU" in ended.err and "kept epoch " in ended.err
    result = ended.lines[0]
    assert result["epoch"] in (1, 2)
    assert json.loads(metadata["result"])["miou"] == result["miou"]
    assert metadata["command"].startswith("hqsam train --data ")
    assert metadata["image_size"] == "64"
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if "epoch" in line] == [1, 2]
    assert all(line["images_per_second"] > 0 for line in lines if "loss" in line)
    with Image.open(tmp_path / "run" / "metrics.png") as plot:
        assert plot.width > 500

    options = ("--windows", "off", "--device", "cpu", "--json", "-")  # training validates on whole images
    by_eval = hqsam("eval", "--dataset", SAMPLES, "--model", "run/hqsam.safetensors", *options)
    (hq,) = [row for row in json.loads(by_eval.out)["rows"] if row["mask_output"] == "hq"]
    assert (hq["figures"]["mIoU"], hq["figures"]["mBIoU"]) == (result["miou"], result["mbiou"])

    segmented = hqsam("segment", SAMPLES / "im", "--salient", "--model", "run/hqsam.safetensors", "-o", "masks")
    assert segmented.code == 0, segmented.err


def test_a_number_of_steps_ends_within_an_epoch_and_may_grow(hqsam: Run) -> None:
    command = ("train", "--data", SAMPLES, *SMALL, "-o", "run")
    assert hqsam(*command, "--steps", 2).code == 0
    ended = hqsam(*command, "--steps", 4, "--dry-run")
    plan = dict(line.split(maxsplit=1) for line in ended.out.splitlines() if line.strip())
    assert [plan[name].strip() for name in ("steps", "done", "left")] == ["4", "2", "2"]
    assert hqsam(*command, "--steps", 4).code == 0
    epochs = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in epochs if "epoch" in line][-1] == 4


def test_a_result_that_is_worse_than_the_base_is_said(hqsam: Run) -> None:
    ended = hqsam("train", "--data", SAMPLES, "--val", SAMPLES, "--epochs", 1, "--lr", 1, *SMALL, "-o", "run")
    assert ended.code == 0 and "the result is worse than the base" in ended.err


def test_photos_of_the_training_set_in_the_validation_set_are_counted(hqsam: Run, data: Path, tmp_path: Path) -> None:
    for name in ("more", "val"):
        shutil.copytree(data, tmp_path / name)
    for number in range(3, 8):
        with (tmp_path / "more" / f"{number}.jpg").open("ab") as file:
            file.write(b"\0")  # another file of the same pixels
        (tmp_path / "val" / f"{number}.jpg").unlink()
    (tmp_path / "val" / "2.jpg").write_bytes((tmp_path / "more" / "7.jpg").read_bytes()[:-1] + b"\1")
    arguments = ("train", "--data", data, *SMALL, "-o", "run", "--dry-run")
    (line,) = [own for own in hqsam(*arguments, "--data", "more", "--val", "val").err.splitlines() if "equal" in own]
    assert "2 of --val are also in --data" in line and "3 are repeated in --data" in line
    assert f"such as val/0.jpg and {data / '0.jpg'}" in line
    assert "equal" not in hqsam(*arguments).err


def test_a_dry_run_says_what_is_left_and_what_would_be_refused(hqsam: Run, data: Path) -> None:
    arguments = ("train", "--data", data, *SMALL, "-o", "run", "--epochs")
    assert hqsam(*arguments, 1, "--dry-run").out.split()[:8] == ["pairs", "8", "steps", "4", "done", "0", "left", "4"]
    assert not Path("run").exists()
    assert hqsam(*arguments, 1).code == 0
    assert hqsam(*arguments, 2, "--dry-run").out.split()[4:8] == ["done", "4", "left", "4"]
    for more in ((), ("--dry-run",)):
        refused = hqsam(*arguments, 2, "--lr", "1", *more)
        assert refused.code == 2 and "--lr was 0.001, is 1.0" in refused.err
        assert "None" not in refused.err and "by: hqsam train --data" in refused.err


def test_a_file_that_no_run_wrote_is_not_replaced_unasked(hqsam: Run, data: Path) -> None:
    Path("hqsam.safetensors").write_bytes(b"mine")
    refused = hqsam("train", "--data", data, "--epochs", 1, *SMALL, "-o", ".")
    assert refused.code == 2 and "hqsam.safetensors: already exists" in refused.err
    assert Path("hqsam.safetensors").read_bytes() == b"mine"


def run_alone(*arguments: str | Path, launcher: tuple[str, ...] = (sys.executable,)) -> subprocess.Popen[bytes]:
    """`hqsam train` in its own process."""
    script = ROOT / "tests" / "cli" / "hqsam_process.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*launcher, script, "train", *arguments]
    return subprocess.Popen(
        [str(part) for part in command], env=environment, stderr=subprocess.PIPE, start_new_session=True
    )


@pytest.mark.usefixtures("one_thread")
def test_killed_in_mid_epoch_and_continued_gives_the_weights_of_an_unbroken_run(
    hqsam: Run, data: Path, tmp_path: Path
) -> None:
    arguments = ("--data", data, "--epochs", "30", *SMALL, "--checkpoint-steps", "1", "--fresh")
    killed = run_alone(*arguments, "-o", tmp_path / "killed")
    state = tmp_path / "killed" / "train.pt"
    while not state.exists() or torch.load(state, weights_only=True)["step"] % 4 in (0, 3):
        assert killed.poll() is None, killed.communicate()[1].decode()
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    step = torch.load(state, weights_only=True)["step"]
    assert 0 < step < 120

    continued = hqsam("train", *arguments, "-o", "killed")
    assert continued.code == 0, continued.err
    assert f"{step} of 120 steps already done" in continued.err
    assert hqsam("train", *arguments, "-o", "unbroken").code == 0
    for name in ("hq_only.safetensors", "hqsam.safetensors"):
        assert equal(tensors(tmp_path / "killed" / name), tensors(tmp_path / "unbroken" / name))


def test_a_signal_to_all_processes_of_a_job_saves_the_run(data: Path, tmp_path: Path) -> None:
    workers = ("--workers", "1", "--checkpoint-steps", "1", "--fresh", "--epochs", "30")
    stopped = run_alone("--data", data, *SMALL, *workers, "-o", tmp_path / "out")
    state = tmp_path / "out" / "train.pt"
    while not state.exists():
        assert stopped.poll() is None, stopped.communicate()[1].decode()
        time.sleep(0.01)
    os.killpg(stopped.pid, signal.SIGTERM)  # as Slurm and systemd do
    errors = stopped.communicate()[1].decode()
    assert stopped.returncode == 130 and "Traceback" not in errors, errors
    assert torch.load(state, weights_only=True)["step"] > 0


@pytest.mark.usefixtures("one_thread")
def test_two_processes_learn_what_one_does(hqsam: Run, data: Path, tmp_path: Path) -> None:
    common = ("--data", data, "--val", data, "--epochs", "1", "--lr", "1e-4", *SMALL, "--dtype", "float32", "--fresh")
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2")
    world = run_alone(*common, "--batch-size", "2", "-o", tmp_path / "two", launcher=torchrun)
    assert hqsam("train", *common, "--batch-size", "4", "-o", "one").code == 0
    errors = world.communicate()[1].decode()
    assert world.returncode == 0, errors
    assert "on 2 x cpu" in errors
    one, two = (torch.load(tmp_path / name / "train.pt", weights_only=True) for name in ("one", "two"))
    for place, state in one["optimizer"]["state"].items():
        for moment in ("exp_avg", "exp_avg_sq"):
            mine, theirs = state[moment], two["optimizer"]["state"][place][moment]
            assert (mine - theirs).norm() < 1e-3 * mine.norm(), (place, moment)
    # Adam's first step is the whole learning rate in the direction of the sign, also of a gradient that is 0 but for
    # its rounding: seen are 7 of 100,000 weights that went the other way.
    weights = (tensors(tmp_path / name / "hq_only.safetensors") for name in ("one", "two"))
    mine, theirs = (torch.cat([tensor.flatten() for _, tensor in sorted(part.items())]) for part in weights)
    assert torch.isclose(mine, theirs, rtol=1e-3, atol=1e-5).float().mean() > 0.9998


def test_bad_pairs_are_skipped_counted_and_told(hqsam: Run, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for file in data.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "0.jpg").write_bytes(b"\xff\xd8\xff no photo")
    cv2.imwrite(str(folder / "1.png"), np.zeros((72, 96), np.uint8))
    (folder / "2.png").unlink()
    ended = hqsam("train", "--data", folder, "--epochs", 3, *SMALL, "-o", "run", "--json")
    assert ended.code == 3
    assert "images without a mask, skipped: 1, first" in ended.err
    for words in ("0.jpg", "the mask is empty", "2 pairs could not be used and were skipped"):
        assert words in ended.err
    assert ended.lines[0]["skipped"] == 2
    for name in ("0.jpg", "1.jpg"):
        (folder / name).unlink()
    (folder / "3.jpg").unlink()
    command = ("train", "--data", folder, "--epochs", 1, *SMALL, "--overwrite", "-o", "run")
    lenient = hqsam(*command)
    assert lenient.code == 0 and "masks without an image: 3, first" in lenient.err
    assert hqsam(*command, "--strict").code == 3


def test_a_plain_sam_is_a_base_too(hqsam: Run, data: Path, tmp_path: Path) -> None:
    plain = {key: value for key, value in tensors(PACKAGED["lite"]).items() if not is_hq(key)}
    save_file(plain, tmp_path / "sam.safetensors", {"image_size": "64"})
    ended = hqsam("train", "--model", "sam.safetensors", "--data", data, "--epochs", 1, *SMALL, "-o", "run")
    assert ended.code == 0, ended.err
    assert tensors(tmp_path / "run" / "hqsam.safetensors").keys() == lite_without_iou_head().keys()


def test_a_table_is_printed_beside_the_papers(hqsam: Run, data: Path) -> None:
    arguments = ("train", "--table", "strategies", "--data", data, "--val", data, "--epochs", 1, *SMALL, "-o", "tables")
    Path("tables/mine").mkdir(parents=True)
    Path("tables/mine/train.pt").write_bytes(b"of another run")
    ended = hqsam(*arguments, "--json", "--overwrite")
    assert ended.code == 0, ended.err
    assert Path("tables/mine/train.pt").exists()
    rows = ended.lines[0]["rows"]
    assert [row["name"] for row in rows] == ["sam", "all", "decoder", "output-token", "full"]
    assert all(0 <= row["miou"] <= 100 for row in rows)
    assert rows[1]["paper_miou"] == 38.0
    shown = hqsam(*arguments)  # all is done, so this only prints
    assert shown.code == 0, shown.err
    assert "all of SAM, fine-tuned" in shown.out
    assert "12.2" in shown.out


@pytest.mark.usefixtures("one_thread")
def test_a_head_for_scores_is_killed_and_continued_and_changes_no_mask(hqsam: Run, data: Path, tmp_path: Path) -> None:
    learn = ("--learn", "score", "--mask-output", "auto", "--keep-sam", "1", "--augmentation", "strong", "--cache", "8")
    arguments = ("--data", data, "--steps", "20", "--checkpoint-steps", "1", "--ema-decay", "0.9", *learn, *SMALL)
    killed = run_alone(*arguments, "-o", tmp_path / "killed")
    state = tmp_path / "killed" / "train.pt"
    while not state.exists():
        assert killed.poll() is None, killed.communicate()[1].decode()
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    step = torch.load(state, weights_only=True)["step"]
    assert 0 < step < 20
    continued = hqsam("train", *arguments, "-o", "killed")
    assert continued.code == 0, continued.err
    assert f"{step} of 20 steps already done" in continued.err
    assert hqsam("train", *arguments, "-o", "unbroken").code == 0
    learned, whole = (tensors(tmp_path / "killed" / name) for name in ("hq_only.safetensors", "hqsam.safetensors"))
    for name, made in (("hq_only.safetensors", learned), ("hqsam.safetensors", whole)):
        assert equal(made, tensors(tmp_path / "unbroken" / name))
    base = lite_without_iou_head()
    head = {key: value for key, value in whole.items() if key not in base}
    assert len(head) == 4 and all(value.any() for value in head.values())
    assert all(torch.equal(value.float(), whole[key].float()) for key, value in base.items())
    assert learned.keys() == {key for key in whole if is_hq(key)}


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), "--data FOLDER"),
        (("--data", "DATA", "--learn", "score"), "--mask-output auto or sum"),
        (("--data", "DATA", "--learn", "score", "--mask-output", "auto", "--val", "DATA"), "run hqsam eval"),
        (("--data", "nowhere"), "nowhere: no image-mask pairs"),
        (
            ("--data", str(ROOT / "sample_data")),
            "no image in images/ and masks/ has a mask, such as bicycle.png",
        ),
        (("--hqseg", "nowhere"), "no set of HQSeg-44K"),
        (("--data", "DATA:0"), "the weight must be over 0"),
        (("--data", "DATA", "--variant", "token", "--fusion", "early"), "one ablation each"),
        (("--data", "DATA", "--table", "fusion"), "--val FOLDER"),
        (("--data", "DATA", "--image-size", "100"), "multiple of 32"),
        (("--data", "DATA", "--batch-size", "100"), "lower --batch-size"),
        (("--data", "DATA", "--dtype", "float16"), "bfloat16"),
        (("--data", "DATA", "--lr", "0"), "--lr"),
        (("--data", "DATA", "--model", "nothing.pth"), "nothing.pth"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_line(
    hqsam: Run, data: Path, arguments: tuple[str, ...], words: str
) -> None:
    ended = hqsam("train", *(text.replace("DATA", str(data)) for text in arguments), "--device", "cpu")
    assert ended.code in (1, 2, 4)
    assert words in ended.err
    assert "Traceback" not in ended.err


def test_a_set_to_validate_on_is_looked_at_before_the_first_step(hqsam: Run, data: Path, tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / "val" / kind).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "val/images/a.png"), np.zeros((20, 20, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "val/masks/a.png"), np.zeros((20, 20), np.uint8))
    ended = hqsam("train", "--data", data, "--val", "val", *SMALL, "-o", "run")
    assert ended.code == 1
    assert "val: no image-mask pair can be read" in ended.err and "the mask is empty" in ended.err
    assert not (tmp_path / "run").exists()
    cv2.imwrite(str(tmp_path / "val/masks/a.png"), np.eye(20, dtype=np.uint8))  # of 0 and 1
    assert hqsam("train", "--data", data, "--val", "val", "--epochs", 1, *SMALL, "-o", "run").code == 0
