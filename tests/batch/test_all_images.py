"""Files about all images: of several commands with one output, and of runs that do not finish."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pycocotools.coco import COCO

from hqsam_cli.errors import UsageError
from hqsam_cli.inference.preprocess import ResizedImage
from hqsam_cli.io.find import find_images
from hqsam_cli.records import ImagePrompts, Instance, Prompt, RawPrompt
from tests.batch.boxes_as_masks import BoxPredictor, TwoBoxes, contents, run

FORMATS = frozenset({"coco", "ndjson", "cvat", "labelstudio", "voc", "png"})
NAMES = ["b.jpg", "c.jpg", "sub/a.jpg"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        path = tmp_path / "imgs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (0, 40 * number, 90)).save(path)
    return tmp_path / "imgs"


def only(photos: Path, output: Path, *names: str, **options: Any) -> Any:
    """A run over some of the photos."""
    found = [image for image in find_images([str(photos)]).images if image.file_name in names]
    return run(photos, output, images=found, **options)


def images_of(output: Path) -> list[str]:
    coco = COCO(str(output / "instances.json"))
    assert len(coco.anns) == len(coco.dataset["annotations"]), "each id once"
    with_masks = {annotation["image_id"] for annotation in coco.dataset["annotations"]}
    return [image["file_name"] for image in coco.dataset["images"] if image["id"] in with_masks]


def test_commands_on_one_output_write_what_one_command_does(photos: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"formats": FORMATS, "tolerance": 0.0}
    run(photos, tmp_path / "whole", **options)
    for number, order in enumerate(permutations(NAMES)):
        output = tmp_path / str(number)
        for name in order:
            only(photos, output, name, **options)
        assert contents(output) == contents(tmp_path / "whole"), order
        only(photos, output, order[0], **options)
        assert contents(output) == contents(tmp_path / "whole"), "the same command again"


def test_other_images_are_named_and_leave_when_they_are_gone_or_with_overwrite(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    only(photos, output, "b.jpg", "c.jpg")
    heard = only(photos, output, "sub/a.jpg")[1]
    assert [text for text in heard.said if "kept" in text] == [
        "images of earlier commands, results kept: 2 (b.jpg, c.jpg)"
    ]
    assert images_of(output) == NAMES
    (photos / "b.jpg").unlink()
    assert not [text for text in only(photos, output, "sub/a.jpg", "c.jpg")[1].said if "kept" in text]
    assert images_of(output) == ["c.jpg", "sub/a.jpg"]
    only(photos, output, "c.jpg", overwrite=True)
    assert images_of(output) == ["c.jpg"]


def test_a_photo_that_commands_name_differently_counts_once(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run(photos, output)
    heard = run(photos / "b.jpg", output)[1]
    ours = images_of(output)
    assert len(ours) == 3 and "b.jpg" not in ours and any(name.endswith("imgs/b.jpg") for name in ours)
    assert heard.said == ["images of earlier commands, results kept: 2 (c.jpg, sub/a.jpg)"]
    run(photos, output)
    assert images_of(output) == NAMES


class SameIds(TwoBoxes):
    """The ids of another file for the same number of images: both begin at 1."""

    def __init__(self, image_id: int) -> None:
        self.image_id = image_id

    def for_image(self, file_name: str) -> ImagePrompts:
        return ImagePrompts(file_name, self.image_id, None, [RawPrompt(1, box=(1.0, 2.0, 9.0, 8.0))])


@pytest.mark.parametrize(("second", "what"), [(1, "image id 1"), (2, "annotation id 1")])
def test_ids_of_two_input_files_do_not_become_each_others(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, second: int, what: str
) -> None:
    only(photos, tmp_path / "out", "b.jpg", prompts=SameIds(1))
    only(photos, tmp_path / "out", "c.jpg", prompts=SameIds(second))
    assert images_of(tmp_path / "out") == ["c.jpg"]
    assert [record.message.split(" is used")[0] for record in caplog.records] == [what]


def test_a_category_id_of_another_name_is_refused_before_anything_changes(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    only(photos, output, "b.jpg")
    before = contents(output), (output / "journal.ndjson").read_bytes()
    dog = [{"id": 1, "name": "dog"}]
    with pytest.raises(UsageError, match=r"category 1 is 'dog', and 'object' in .* 1 \(b.jpg\)"):
        only(photos, output, "c.jpg", categories=dog)
    assert before == (contents(output), (output / "journal.ndjson").read_bytes())
    only(photos, output, "b.jpg", "c.jpg", categories=dog)
    assert json.loads((output / "instances.json").read_bytes())["categories"] == dog, "renamed for all images"


class OutOfMemory(BoxPredictor):
    """Fails at the third image, and not as an image does."""

    def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        if len(self.groups) == 2:
            raise MemoryError
        return super().predict_batch(images, prompts)


def test_a_run_that_an_error_ends_says_what_is_done(photos: Path, tmp_path: Path) -> None:
    only(photos, tmp_path / "out", "sub/a.jpg")
    Image.new("RGB", (40, 30)).save(photos / "d.jpg")
    with pytest.raises(MemoryError):
        only(photos, tmp_path / "out", "b.jpg", "c.jpg", "d.jpg", predictor=OutOfMemory(), threads=1, batch_size=1)
    journal = (tmp_path / "out/journal.ndjson").read_text()
    done = [name for name in ("b.jpg", "c.jpg", "d.jpg") if f'"file_name":"{name}"' in journal]
    assert "d.jpg" not in done and images_of(tmp_path / "out") == [*done, "sub/a.jpg"]
