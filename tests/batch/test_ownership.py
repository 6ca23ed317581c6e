"""Whose file is whose: labels of equal names, files of other people, and what is left when a run begins again."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hqsam_cli.errors import HqsamError
from hqsam_cli.records import ImagePrompts, RawPrompt
from tests.batch.boxes_as_masks import TwoBoxes, run
from tests.io.files import photo, tar_of

LABELS = frozenset({"labelme", "yolo-seg"})


def photograph(path: Path, green: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (0, green, 90)).save(path)


def labelled(out: Path) -> dict[str, str]:
    """The suffix of the image that each file of labelme is about."""
    return {path.name: json.loads(path.read_text())["imagePath"][-4:] for path in (out / "labelme").glob("*.json")}


def test_an_image_keeps_its_label_whatever_comes_and_goes(tmp_path: Path) -> None:
    imgs, out = tmp_path / "imgs", tmp_path / "out"
    photograph(imgs / "x.png")
    run(imgs, out, formats=LABELS, tolerance=0.0)
    assert labelled(out) == {"x.json": ".png"}

    photograph(imgs / "x.jpg")  # before it in the list
    for _ in range(2):
        run(imgs, out, formats=LABELS, tolerance=0.0)
        assert labelled(out) == {"x.json": ".png", "x.jpg.json": ".jpg"}
    assert os.readlink(out / "yolo-seg/images/x.png") == str(imgs / "x.png")
    assert os.readlink(out / "yolo-seg/images/x.jpg.jpg") == str(imgs / "x.jpg")

    (out / "labelme/x.json").write_text(json.dumps({"imagePath": "by hand.png"}))
    photograph(imgs / "x.jpg", 90)
    run(imgs, out, formats=LABELS, tolerance=0.0)
    assert labelled(out) == {"x.json": ".png", "x.jpg.json": ".jpg"}
    assert "by hand" in (out / "labelme/x.json").read_text()

    (imgs / "x.jpg").unlink()
    run(imgs, out, formats=LABELS, tolerance=0.0)
    assert labelled(out) == {"x.json": ".png"} and "by hand" in (out / "labelme/x.json").read_text()
    assert not (out / "yolo-seg/images/x.jpg.jpg").is_symlink()


def test_three_images_that_would_have_one_label(tmp_path: Path) -> None:
    for name in ("x.jpg", "x.jpg.png", "x.bmp"):
        photograph(tmp_path / "imgs" / name)
    for _ in range(2):
        run(tmp_path / "imgs", tmp_path / "out", formats=frozenset({"labelme"}), tolerance=0.0)
        assert sorted(labelled(tmp_path / "out").values()) == [".bmp", ".jpg", ".png"]


def test_an_image_with_the_longest_of_names(tmp_path: Path) -> None:
    photograph(tmp_path / "imgs" / ("n" * 247 + ".jpg"))
    for again in (False, True):
        summary, _ = run(
            tmp_path / "imgs", tmp_path / "out", formats=frozenset({"labelme"}), tolerance=0.0, overwrite=again
        )
        assert not summary.failed
    assert len(labelled(tmp_path / "out")) == 1


def test_an_image_that_fails_takes_no_file_that_no_run_wrote(tmp_path: Path) -> None:
    imgs, out = tmp_path / "imgs", tmp_path / "out"
    photograph(imgs / "a.png")
    run(imgs, out, formats=frozenset({"labelme"}), tolerance=0.0)
    mine = [out / name for name in ("labelme/new.json", "voc/new.xml", "idmaps/new.jpg.png")]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (imgs / "new.jpg").write_bytes(b"no image")
    summary, _ = run(imgs, out, formats=frozenset({"labelme"}), tolerance=0.0)
    assert len(summary.failed) == 1
    assert [path.read_text() for path in mine] == ["mine"] * 3


def test_what_begins_again_leaves_nothing_of_before(tmp_path: Path) -> None:
    imgs, out = tmp_path / "imgs", tmp_path / "out"
    for name in ("a.png", "b.png"):
        photograph(imgs / name)
    run(imgs, out, formats=frozenset({"png", "labelme"}), tolerance=0.0)
    (out / "masks/theirs.txt").write_text("theirs")
    (imgs / "b.png").unlink()
    run(imgs, out, formats=frozenset({"coco"}), overwrite=True)
    assert [str(path.relative_to(out)) for path in sorted(out.rglob("*")) if path.is_file()] == [
        "instances.json",
        "journal.ndjson",
        "masks/theirs.txt",
    ]


class Animals(TwoBoxes):
    """A dog in each image, and a cat in those of the later command."""

    def __init__(self, *names: str) -> None:
        self.categories = [{"id": len(name), "name": name} for name in names]

    def for_image(self, file_name: str) -> ImagePrompts:
        number = self.categories[0]["id"] if file_name == "cat.png" else len("dogs")
        return ImagePrompts(file_name, 1, None, [RawPrompt(number, box=(1.0, 2.0, 9.0, 8.0), category_id=number)])


def test_classes_keep_their_numbers(tmp_path: Path) -> None:
    imgs, out = tmp_path / "imgs", tmp_path / "out"
    photograph(imgs / "dog.png")
    options: dict[str, Any] = {"formats": frozenset({"yolo-seg"}), "tolerance": 0.0}
    run(imgs, out, prompts=Animals("dogs"), categories=Animals("dogs").categories, **options)
    photograph(imgs / "cat.png")
    both = Animals("cat", "dogs")
    run(imgs, out, prompts=both, categories=both.categories, **options)
    assert (out / "yolo-seg/classes.txt").read_text().split() == ["dogs", "cat"]
    classes = {path.stem: path.read_text()[0] for path in (out / "yolo-seg/labels").iterdir()}
    assert classes == {"dog": "0", "cat": "1"}


def test_masks_of_a_tar_stay_while_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    for number in range(2):
        Path(f"{number}.tar").write_bytes(tar_of({"a.png": photo(20), "b.png": photo(40)}))
    masks = {f"{number}.tar/{name}.png" for number in range(2) for name in "ab"}

    def there() -> set[str]:
        return {
            str(path.parent.relative_to(out / "masks")) for path in (out / "masks").rglob("*.png") if path.is_file()
        }

    run("*.tar", out)
    assert there() == masks
    run("1*.tar", out)
    monkeypatch.chdir(tmp_path.parent)
    run(str(tmp_path / "1*.tar"), out)
    assert masks <= there()
    Path(tmp_path, "1.tar").write_bytes(tar_of({"a.png": photo(20)}))
    (tmp_path / "0.tar").unlink()
    monkeypatch.chdir(tmp_path)
    run("*.tar", out)
    assert "1.tar/a.png" in there() and not there() & {"1.tar/b.png", "0.tar/a.png", "0.tar/b.png"}


def test_photos_that_change_places_are_done_anew(tmp_path: Path) -> None:
    imgs, out = tmp_path / "imgs", tmp_path / "out"
    for name, green in (("a.bmp", 10), ("b.bmp", 20)):
        photograph(imgs / name, green)
        os.utime(imgs / name, (10**9, 10**9))
    run(imgs, out)
    for old, new in (("a.bmp", "c"), ("b.bmp", "a.bmp"), ("c", "b.bmp")):
        shutil.move(imgs / old, imgs / new)
    summary, _ = run(imgs, out)
    assert summary.already_done == 0


def test_a_pipe_is_no_photo(tmp_path: Path) -> None:
    photograph(tmp_path / "imgs/a.png")
    os.mkfifo(tmp_path / "imgs/p.jpg")
    summary, _ = run(tmp_path / "imgs", tmp_path / "out")
    (failure,) = summary.failed
    assert "p.jpg: a device or a pipe" in failure


def test_a_file_is_not_written_over_a_device(tmp_path: Path) -> None:
    photograph(tmp_path / "imgs/a.png")
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out/instances.json")
    with pytest.raises(HqsamError, match="device or a pipe"):
        run(tmp_path / "imgs", tmp_path / "out", formats=frozenset({"coco"}), overwrite=True)
    assert not (tmp_path / "out/instances.json").is_file()
