"""A few images of a run, made again with other options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hqsam_cli.batch.merge import merge_shards
from hqsam_cli.batch.status import read_status
from hqsam_cli.errors import UsageError
from hqsam_cli.io.find import find_images
from hqsam_cli.records import ImagePrompts, RawPrompt
from tests.batch.boxes_as_masks import TwoBoxes, contents, run

OTHER = {"model": "box", "mask_output": "hq"}


class OneBox(TwoBoxes):
    """One prompt for every image."""

    def for_image(self, file_name: str) -> ImagePrompts:
        given = super().for_image(file_name)
        return ImagePrompts(
            file_name, given.image_id, None, [RawPrompt(given.prompts[0].annotation_id, box=(5, 5, 9, 9))]
        )


def these(images: Path, *names: str) -> dict[str, Any]:
    """Only some images of a folder."""
    return {"images": [image for image in find_images([str(images)]).images if image.file_name in names]}


def masks_per_image(out: Path) -> dict[str, int]:
    coco = json.loads((out / "instances.json").read_text())
    ids = [own["image_id"] for own in coco["annotations"]]
    return {image["file_name"]: ids.count(image["id"]) for image in coco["images"]}


def test_only_the_listed_images_are_made_again_and_the_others_stay(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(images, out)
    before, names = contents(out / "masks"), [*masks_per_image(out)]
    two = these(images, "002.jpg", "sub/003.png")
    with pytest.raises(UsageError, match=r"mask_output.*was sum, is hq.*`redo` to process only the given images again"):
        run(images, out, identity=OTHER, **two)
    summary, heard = run(images, out, identity=OTHER, prompts=OneBox(), redo=True, **two)
    assert (summary.done, summary.already_done) == (2, 0)
    assert any("images of earlier commands, results kept: 5" in text for text in heard.said)
    assert [*masks_per_image(out).items()] == [(name, 1 if name in ("002.jpg", "sub/003.png") else 2) for name in names]
    after = contents(out / "masks")
    assert {name for name in before if after.get(name) != before[name]} == {
        name for name in before if name.startswith(("002.jpg", "sub/003.png"))
    }
    status = read_status(out)
    assert (status.images, status.done, status.left, status.results) == (7, 7, 0, 12)


def test_again_it_continues_and_other_commands_keep_what_was_redone(images: Path, tmp_path: Path) -> None:
    out, two = tmp_path / "out", these(images, "002.jpg", "004.jpg")
    run(images, out)
    run(images, out, identity=OTHER, prompts=OneBox(), redo=True, **two)
    made = contents(out)
    summary, _ = run(images, out, identity=OTHER, prompts=OneBox(), redo=True, **two)
    assert (summary.done, summary.already_done) == (0, 2)
    summary, heard = run(images, out)
    assert (summary.done, summary.already_done) == (0, 7)
    assert any("images redone earlier, results kept: 2 (002.jpg, 004.jpg)" in own for own in heard.said)
    assert contents(out) == made
    Image.new("RGB", (40, 30), (9, 9, 9)).save(images / "004.jpg")  # another photo, for the run's options
    summary, _ = run(images, out)
    assert (summary.done, masks_per_image(out)["002.jpg"], masks_per_image(out)["004.jpg"]) == (1, 1, 2)


def test_other_prompts_are_kept_too(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(images, out)
    assert run(images, out, prompts=OneBox(), redo=True, **these(images, "002.jpg"))[0].done == 1
    assert run(images, out)[0].already_done == 7
    assert masks_per_image(out)["002.jpg"] == 1
    assert run(images, out, redo=True)[0].done == 1, "the prompts of the run again"
    assert masks_per_image(out)["002.jpg"] == 2


def test_with_the_options_of_the_run_it_is_as_before(images: Path, tmp_path: Path) -> None:
    out, one = tmp_path / "out", these(images, "002.jpg")
    run(images, out)
    before = (out / "instances.json").read_bytes()
    assert run(images, out, redo=True, **one)[0].already_done == 1
    run(images, out, identity=OTHER, prompts=OneBox(), redo=True, **one)
    assert run(images, out, redo=True, **one)[0].done == 1
    assert (out / "instances.json").read_bytes() == before
    assert run(images, out)[0].already_done == 7


def test_what_fails_when_it_is_redone_keeps_its_results_and_is_tried_again(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(images, out)
    before = contents(out)
    too_small: dict[str, Any] = {"identity": {**OTHER, "max_pixels": "9"}, "max_pixels": 9, "redo": True}
    for _ in range(2):
        summary, heard = run(images, out, **too_small, **these(images, "002.jpg"))
        assert (summary.exit_code, len(summary.failed)) == (3, 1)
        assert "images that failed, earlier results kept: 1 (002.jpg)" in heard.problems
    assert contents(out) == before
    status = read_status(out)
    assert (status.done, status.failed, status.left) == (6, 0, 1)
    assert run(images, out)[0].already_done == 7


def test_what_failed_before_and_fails_again_is_tried_by_the_next_command(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    small: dict[str, Any] = {"max_pixels": 9}
    run(images, out, **small)
    run(images, out, **small, identity=OTHER, redo=True, **these(images, "002.jpg"))
    summary, _ = run(images, out)
    assert (summary.done, summary.failed_before) == (1, 6)
    assert masks_per_image(out)["002.jpg"] == 2


@pytest.mark.parametrize("changed", [{"format": "png"}, {"segmentation": "polygon"}, {"results_revision": "0"}])
def test_what_the_files_of_all_images_share_cannot_differ(
    images: Path, tmp_path: Path, changed: dict[str, str]
) -> None:
    run(images, tmp_path / "out")
    with pytest.raises(UsageError, match=f"{next(iter(changed))}.*`overwrite`") as refused:
        run(images, tmp_path / "out", identity={**OTHER, **changed}, redo=True)
    assert "`redo`" not in str(refused.value) and "mask_output" not in str(refused.value)


def test_merging_shards_again_keeps_what_was_redone(images: Path, tmp_path: Path) -> None:
    identity = {"model": "box", "mask_output": "sum", "format": "coco,png"}
    found = find_images([str(images)]).images
    halves = [found[::2], found[1::2]]
    for number, half in enumerate(halves, 1):
        own = {**identity, "shard": f"{number}/2"}
        run(images, tmp_path / str(number), identity=own, images=half, inputs="all")
    shards, out = [tmp_path / "1", tmp_path / "2"], tmp_path / "out"
    merge_shards(shards, out, {})
    run(images, out, identity={**identity, "model": "other"}, prompts=OneBox(), redo=True, **these(images, "002.jpg"))
    merge_shards(shards, out, {})
    assert masks_per_image(out) == {image.file_name: 1 if image.file_name == "002.jpg" else 2 for image in found}
    assert run(images, out, identity=identity)[0].already_done == 7
