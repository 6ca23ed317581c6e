"""Folders of YOLO label files as boxes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hqsam_cli.configs import PromptConfig
from hqsam_cli.io.find import SourceImage
from hqsam_cli.prompts.fit import fit_prompts
from hqsam_cli.prompts.prompt_file import Notes
from hqsam_cli.prompts.read import read_prompts
from hqsam_cli.prompts.table import PromptTable, bind_prompts, first_id


def bound(folder: Path, files: dict[str, str | bytes], names: list[str], use: str = "boxes") -> PromptTable:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    images = [SourceImage(str(folder / "photos" / name), name) for name in names]
    return bind_prompts(read_prompts(PromptConfig(**{use: str(folder)})), images)  # type: ignore[arg-type]


def test_normalized_boxes_become_pixels_of_the_image(tmp_path: Path) -> None:
    table = bound(
        tmp_path, {"a.txt": "3 0.5 0.5 0.5 0.25 0.9\n0 0 0 0.2 0.2\n", "classes.txt": "cat\ndog\n"}, ["a.jpg"]
    )
    prompts, problems = fit_prompts(table.for_image("a.jpg"), 200, 80)
    assert [p.box for p in prompts] == [(50, 30, 150, 50), (0, 0, 20, 8)]
    assert [(p.annotation_id, p.category_id, p.score) for p in prompts] == [
        (first_id("a.jpg"), 4, 0.9),
        (first_id("a.jpg") + 1, 1, None),
    ]
    assert problems == []
    assert table.categories == [
        {"id": 1, "name": "cat"},
        {"id": 2, "name": "dog"},
        {"id": 4, "name": "category 4"},
    ]


@pytest.mark.parametrize(
    ("labels", "names", "found"),
    [
        (["imgs/a.txt"], ["imgs/a.jpg"], ["imgs/a.jpg"]),
        (["a.txt"], ["imgs/a.jpg"], ["imgs/a.jpg"]),
        (["a.txt", "a.png.txt"], ["a.jpg", "a.png"], ["a.jpg", "a.png"]),
        (["imgs/a.txt"], ["a.jpg"], ["a.jpg"]),
        (["imgs/a.txt"], ["other/a.jpg"], []),
        (["a.txt"], ["x/a.jpg", "y/a.jpg"], []),
        (["a.txt"], ["b.jpg"], []),
    ],
)
def test_labels_and_images_find_each_other(
    tmp_path: Path, labels: list[str], names: list[str], found: list[str]
) -> None:
    table = bound(tmp_path, {label: "0 0.5 0.5 1 1\n" for label in labels}, names)
    assert [name for name in names if table.for_image(name).prompts] == found
    assert bool([text for text in table.notes.lost if "match no input" in text]) != bool(found)


def test_bad_lines_are_counted_and_the_rest_stays(tmp_path: Path) -> None:
    text = (
        "0 0.5 0.5 0.1 0.1\n0 0.5\nx 1 1 1 1\n0 0.5 0.5 0 0.1\n-1 0.5 0.5 0.1 0.1\n0 nan 0.5 0.1 0.1\n\n1.5 0 0 1 1\n"
        "0 200 100 40 20\n"
    )
    table = bound(tmp_path, {"a.txt": text}, ["a.jpg"])
    assert len(table.for_image("a.jpg").prompts) == 1
    assert [text for text in table.notes.lost if "7 (a.txt: line 2, a.txt: line 3, a.txt: line 4, …)" in text]


def test_an_empty_file_says_that_there_is_nothing(tmp_path: Path) -> None:
    table = bound(tmp_path, {"a.txt": ""}, ["a.jpg", "b.jpg"])
    assert table.notes == Notes([], ["images that no prompt file mentions: 1 (b.jpg)"])


def test_a_dangling_link_is_named_and_harms_no_other(tmp_path: Path) -> None:
    (tmp_path / "b.txt").symlink_to("/nowhere")
    table = bound(tmp_path, {"a.txt": "0 0.5 0.5 1 1\n"}, ["a.jpg", "b.jpg"])
    assert len(table.for_image("a.jpg").prompts) == 1
    assert [
        text for text in table.notes.lost if "cannot be read (No such file or directory), skipped: 1 (b.txt)" in text
    ]
