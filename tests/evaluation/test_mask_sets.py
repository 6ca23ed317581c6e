"""Folders of photos and masks: what is scored, what is left out, what is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hqsam_cli.configs import EvalConfig, EvalOutput
from hqsam_cli.errors import HqsamError
from hqsam_cli.evaluation import evaluate as module
from hqsam_cli.evaluation.evaluate import EvaluatedModel, Evaluation, evaluate
from hqsam_cli.evaluation.metrics import boundary_iou
from hqsam_cli.evaluation.paper import paper_figures
from hqsam_cli.evaluation.protocols import PreparedImage
from hqsam_cli.evaluation.rows import Row, mean_rows
from hqsam_cli.modeling.overlap import iou
from hqsam_cli.progress import Silent
from hqsam_cli.records import Prompt

from .conftest import KnownMasks, fill_box


class Heard(Silent):
    """What an evaluation told its reporter."""

    def __init__(self) -> None:
        self.sets: list[tuple[str, int]] = []
        self.images = 0
        self.problems: list[str] = []

    def on_start(self, total: int, done: int, *, title: str = "", unit: str = "image") -> None:
        self.sets.append((title, total))
        self.images += done

    def advance(self, figures: str = "") -> None:
        self.images += 1

    def on_problem(self, text: str) -> None:
        self.problems.append(text)


Run = Callable[..., tuple[Evaluation, Heard]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos: a rectangle, and one whose lower half is missing."""
    root = tmp_path / "set"
    for name, rows in (("a", slice(10, 50)), ("b", slice(10, 30))):
        mask = np.zeros((60, 80), np.uint8)
        mask[rows, 20:60] = 255
        write(root, name, mask)
    return root


def write(root: Path, name: str, mask: np.ndarray | None, size: tuple[int, int] = (60, 80)) -> None:
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(root / "images" / f"{name}.jpg"), np.full((*size, 3), 90, np.uint8))
    if mask is not None:
        cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Evaluate an evaluator on a folder, with the problems that it should report."""

    def start(
        folder: Path,
        evaluator: KnownMasks,
        prompt: str = "box",
        problems: tuple[str, ...] = (),
        **options: Any,
    ) -> tuple[Evaluation, Heard]:
        def load(name: str, config: object, compute: object, result: Evaluation, progress: object) -> KnownMasks:
            result.models.append(EvaluatedModel(name, "known", "0", 64))
            return evaluator

        monkeypatch.setattr(module, "load_evaluator", load)
        heard = Heard()
        config = EvalConfig(prompt=prompt, **options)
        result = evaluate([str(folder)], config, heard)
        assert heard.problems == list(problems)
        return result, heard

    return start


def test_means_are_over_each_image_once(run: Run, folder: Path, box_filler: KnownMasks) -> None:
    results, heard = run(folder, box_filler)
    sam, both = results.rows
    assert (sam.output, sam.n, both.output, both.n) == ("sam", 2, "sum", 2)
    assert sam.figures["mIoU"] == pytest.approx(50)
    assert [both.figures["mIoU"], both.figures["mBIoU"]] == pytest.approx([100, 100])
    half = []
    for rows in (slice(10, 50), slice(10, 30)):
        gt, upper = np.zeros((60, 80), bool), np.zeros((60, 80), bool)
        gt[rows, 20:60] = True
        upper[rows.start : (rows.start + rows.stop) // 2, 20:60] = True
        half.append(boundary_iou(upper, gt))
    assert sam.figures["mBIoU"] == pytest.approx(50 * sum(half))
    assert heard.images == 2


def test_broken_pairs_are_named_and_counted_and_in_no_mean(run: Run, folder: Path, box_filler: KnownMasks) -> None:
    write(folder, "c_missing", None)
    write(folder, "d_empty", np.zeros((60, 80), np.uint8))
    write(folder, "f_size", np.full((30, 80), 255, np.uint8))
    write(folder, "g_photo", np.full((60, 80), 255, np.uint8))
    (folder / "images" / "g_photo.jpg").write_bytes(b"no photo")
    results, _heard = run(folder, box_filler)
    assert [row.n for row in results.rows] == [2, 2]
    assert results.rows[1].figures["mIoU"] == pytest.approx(100)
    for name, reason in (
        ("c_missing.png", "missing"),
        ("d_empty.png", "empty"),
        ("f_size.png", "80x30, its image 80x60"),
        ("g_photo.jpg", ""),
    ):
        assert any(name in text and reason in text for text in results.failed), name
    assert len(results.failed) == 4
    assert sum(bool(line.error) for line in results.lines) == 4


def test_predicted_ious_are_compared_by_rank_with_those_of_the_masks(run: Run, folder: Path) -> None:
    class Scored(KnownMasks):
        def masks(self, photo: Any, prompts: Any, outputs: Any = None) -> Any:
            found = super().masks(photo, prompts, outputs)
            return {name: (masks, [mask.sum() / photo.size for mask in masks]) for name, (masks, _) in found.items()}

    def part(image: np.ndarray, prompt: Prompt, output: str) -> np.ndarray:
        """Most of the larger object and half of the other; for `sam` as many rows of both."""
        assert prompt.box is not None
        x0, y0, x1, y1 = (round(n) for n in prompt.box)
        rows = 20 if output == "sam" else {40: 26, 20: 10}[y1 - y0]
        mask = np.zeros(image.shape[:2], bool)
        mask[y0 : y0 + rows, x0:x1] = True
        return mask

    sam, both = run(folder, Scored(part))[0].rows
    assert both.figures["Spearman"] == pytest.approx(100)
    assert "Spearman" not in sam.figures, "both masks of SAM have the same score"


def test_masks_of_zero_and_one_count_as_any_other(run: Run, folder: Path, box_filler: KnownMasks) -> None:
    before, _ = run(folder, box_filler)
    for path in (folder / "masks").iterdir():
        cv2.imwrite(str(path), np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)) // 255)
    assert run(folder, box_filler)[0].rows == before.rows


@pytest.mark.parametrize("prompt", ["box", "points:1,3", "clicks"])
def test_images_with_empty_predicted_masks_are_said(run: Run, folder: Path, prompt: str) -> None:
    def rule(image: np.ndarray, asked: Prompt, output: str) -> np.ndarray:
        return np.full(image.shape[:2], output == "sam")

    title = folder.name
    results, _ = run(folder, KnownMasks(rule), prompt, (f"{title}: images with empty predicted masks, sum: 2 (a, b)",))
    assert results.rows[-1].n == 2, "and count"


def test_a_set_without_one_good_pair_is_an_error(run: Run, tmp_path: Path, box_filler: KnownMasks) -> None:
    write(tmp_path / "bad", "a", np.zeros((60, 80), np.uint8))
    with pytest.raises(HqsamError, match=r"none of 1 images.*mask is empty"):
        run(tmp_path / "bad", box_filler)


def test_two_photos_of_one_mask_are_refused_wherever_they_stand(run: Run, folder: Path, box_filler: KnownMasks) -> None:
    mask = np.full((60, 80), 255, np.uint8)
    write(folder, "a.k", mask)  # comes between a.jpg and a.png
    cv2.imwrite(str(folder / "images" / "a.png"), np.zeros((60, 80, 3), np.uint8))
    with pytest.raises(HqsamError, match=r"a\.jpg and a\.png have the same mask"):
        run(folder, box_filler)


def test_gray_and_many_channel_masks_are_cut_at_128(run: Run, tmp_path: Path, box_filler: KnownMasks) -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[10:50, 20:60] = 255
    mask[9, 20:60], mask[50, 20:60] = 128, 60
    deep = mask.astype(np.uint16) * 257
    write(tmp_path / "set", "a", mask)
    write(tmp_path / "set", "b", np.dstack([mask, mask, mask, np.full_like(mask, 255)]))
    write(tmp_path / "set", "c", deep)
    results, _ = run(tmp_path / "set", box_filler)
    assert results.rows[1].n == 3
    assert results.rows[1].figures["mIoU"] == pytest.approx(100)


def test_trials_of_drawn_prompts_are_averaged(run: Run, folder: Path) -> None:
    def around_points(image: np.ndarray, prompt: object, output: str) -> np.ndarray:
        mask = np.zeros(image.shape[:2], bool)
        for x, y, label in prompt.points.astype(int):  # type: ignore[attr-defined]
            mask[max(0, y - 8) : y + 8, max(0, x - 8) : x + 8] = label
        seen.append((output, mask))
        return mask

    seen: list[tuple[str, np.ndarray]] = []
    masks = [np.zeros((60, 80), bool)]
    masks[0][10:50, 20:60] = True
    results, _ = run(folder, KnownMasks(around_points), "points:1,3+2", limit=1)
    assert [(row.prompt, row.output) for row in results.rows] == [
        ("1 point", "sam"),
        ("1 point", "sum"),
        ("3+2 points", "sam"),
        ("3+2 points", "sum"),
    ]
    trials = [iou(mask, masks[0]) for name, mask in seen if name == "sum"][1:4]
    assert len(set(trials)) > 1
    assert results.rows[3].figures["mIoU"] == pytest.approx(100 * np.mean(trials))
    assert run(folder, KnownMasks(around_points), "points:1,3+2", limit=1)[0].rows == results.rows


def test_coarse_masks_are_prompts(run: Run, folder: Path, tmp_path: Path) -> None:
    coarse = tmp_path / "coarse"
    coarse.mkdir()
    half = np.zeros((60, 80), np.uint8)
    half[10:30, 20:60] = 255
    cv2.imwrite(str(coarse / "a.png"), half)

    def coarse_mask(image: np.ndarray, prompt: Prompt, output: str) -> np.ndarray:
        assert prompt.mask is not None
        return prompt.mask

    evaluator = KnownMasks(coarse_mask)
    results, _ = run(folder, evaluator, "mask", coarse_masks=coarse)
    assert results.rows[0].n == 1 and results.rows[0].figures["mIoU"] == pytest.approx(50)
    assert len(results.failed) == 1 and "b.png" in results.failed[0]
    cv2.imwrite(str(coarse / "b.png"), half // 255)
    assert not run(folder, evaluator, "mask", coarse_masks=coarse)[0].failed  # a mask of 0 and 1 is a mask too
    with pytest.raises(HqsamError, match="`coarse_masks`"):
        run(folder, evaluator, "mask")


def test_boundaries_of_several_widths(run: Run, folder: Path, box_filler: KnownMasks) -> None:
    sam = run(folder, box_filler, output=EvalOutput(plot=folder / "curve.svg"))[0].rows[0]
    assert sam.curve["x"] == sorted(sam.curve["x"]) and 0.02 in sam.curve["x"]
    assert sam.curve["y"][sam.curve["x"].index(0.02)] == sam.figures["mBIoU"]
    errors = [abs(value - sam.figures["mIoU"]) for value in sam.curve["y"]]
    assert errors[-1] < errors[0], "the wider the boundary, the nearer to the IoU"


def test_the_worst_come_first(run: Run, folder: Path, tmp_path: Path) -> None:
    def good_for_tall(image: np.ndarray, prompt: object, output: str) -> np.ndarray:
        mask = np.zeros(image.shape[:2], bool)
        mask[10:50, 20:60] = True
        return mask

    run(folder, KnownMasks(good_for_tall), output=EvalOutput(worst=(1, tmp_path / "worst")))
    paths = list((tmp_path / "worst").iterdir())
    assert [path.name for path in paths] == ["001_set_b_50.png"]
    picture = cv2.imread(str(paths[0]))
    assert picture is not None
    assert picture.shape[1] <= 1920 and 480 < picture.shape[0] < 600, "photo, gt and two masks in a row"


def test_the_mean_of_sets_does_not_weigh_by_images() -> None:
    rows = [
        [Row(name, "box", output, n, {"mIoU": value}) for output in ("sam", "hq")]
        for name, n, value in (("dis", 470, 60.0), ("coift", 280, 90.0))
    ]
    sam, hq = mean_rows("hq4", rows)
    assert sam.figures == {"mIoU": 75.0} and sam.n == 750
    papers = [paper_figures("hq4", "vit_l", "box", row.output) for row in (sam, hq)]
    assert papers == [{"mIoU": 79.5, "mBIoU": 71.1}, {"mIoU": 89.1, "mBIoU": 81.8}]


def test_an_interrupted_evaluation_goes_on(
    run: Run, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def breaking(image: np.ndarray, prompt: object, output: str) -> np.ndarray:
        asked.append(1)
        if len(asked) == 3:
            raise RuntimeError("power cut")
        return np.ones(image.shape[:2], bool)

    with pytest.raises(RuntimeError):
        run(folder, KnownMasks(breaking))
    other = folder.parent / "elsewhere" / folder.name
    shutil.copytree(folder, other)
    assert run(other, KnownMasks(fill_box), resume=True)[0].rows[0].figures["mIoU"] == pytest.approx(50)
    monkeypatch.setattr("hqsam_cli.configs.run_identity.__version__", "99")  # an upgrade
    results, heard = run(folder, KnownMasks(breaking), resume=True)
    assert heard.images == 2 and results.rows[0].n == 2
    assert len(asked) == 2 + 1 + 2, "the first image is not scored again"
    run(other, KnownMasks(fill_box))[0].remove_logs()
    results.remove_logs()
    assert not list(cache.rglob("*.ndjson")), "nothing is left of an evaluation that ended"
    run(folder, KnownMasks(breaking), resume=True)
    assert len(asked) == 5 + 4


def test_images_are_drawn_by_the_protocol_that_scored_them(
    folder: Path, tmp_path: Path, box_filler: KnownMasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "DIS5K/DIS-VD")
    for ours, theirs in (("images", "im"), ("masks", "gt")):
        (tmp_path / "DIS5K/DIS-VD" / ours).rename(tmp_path / "DIS5K/DIS-VD" / theirs)
    used: list[str] = []

    class Noted(KnownMasks):
        def prepare(self, image: np.ndarray) -> PreparedImage:
            used.append(self.protocol)
            return super().prepare(image)

        def to_prompt_pixels(self, values: np.ndarray) -> np.ndarray:
            return values > 128

    def load(name: str, config: object, compute: object, result: Evaluation, progress: object) -> KnownMasks:
        result.models.append(EvaluatedModel(name, "known", "0", 64))
        return Noted(fill_box)

    monkeypatch.setattr(module, "load_evaluator", load)
    output = EvalOutput(worst=(2, tmp_path / "worst"))
    evaluate(["dis", str(folder)], EvalConfig(data_root=tmp_path, limit=1, output=output))
    assert used[:2] == ["paper", "deploy"] and sorted(used[2:]) == ["deploy", "paper"]
