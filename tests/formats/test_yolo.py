"""Folders of YOLO label files as boxes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hqsam_cli.prompts.fit import fit_prompts
from hqsam_cli.prompts.table import PromptTable, load_prompts


def bound(folder: Path, files: dict[str, str], names: list[str], **options: int) -> PromptTable:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    table = load_prompts(boxes=str(folder), **options)  # type: ignore[arg-type]
    table.bind(names)
    return table


def test_shares_become_pixels_of_the_image(tmp_path: Path) -> None:
    table = bound(
        tmp_path, {"a.txt": "3 0.5 0.5 0.5 0.25 0.9\n0 0 0 0.2 0.2\n", "classes.txt": "cat\ndog\n"}, ["a.jpg"]
    )
    prompts, problems = fit_prompts(table.for_image("a.jpg"), 200, 80)
    assert [p.box for p in prompts] == [(50, 30, 150, 50), (0, 0, 20, 8)]
    assert [(p.annotation_id, p.category_id, p.score) for p in prompts] == [(1, 4, 0.9), (2, 1, None)]
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
        (["imgs/a.txt"], ["a.jpg"], []),
        (["a.txt"], ["x/a.jpg", "y/a.jpg"], []),
        (["a.txt"], ["b.jpg"], []),
    ],
)
def test_labels_and_images_find_each_other(
    tmp_path: Path, labels: list[str], names: list[str], found: list[str]
) -> None:
    table = bound(tmp_path, {label: "0 0.5 0.5 1 1\n" for label in labels}, names)
    assert [name for name in names if table.for_image(name).prompts] == found
    assert bool([text for text in table.problems if "match no input" in text or "could be for any" in text]) != bool(
        found
    )


def test_bad_lines_are_counted_and_the_rest_stays(tmp_path: Path) -> None:
    text = (
        "0 0.5 0.5 0.1 0.1\n0 0.5\nx 1 1 1 1\n0 0.5 0.5 0 0.1\n-1 0.5 0.5 0.1 0.1\n0 nan 0.5 0.1 0.1\n\n1.5 0 0 1 1\n"
    )
    table = bound(tmp_path, {"a.txt": text}, ["a.jpg"])
    assert len(table.for_image("a.jpg").prompts) == 1
    assert [problem for problem in table.problems if "6 (line 2, line 3, line 4, …)" in problem]


def test_an_empty_file_says_that_there_is_nothing(tmp_path: Path) -> None:
    table = bound(tmp_path, {"a.txt": ""}, ["a.jpg", "b.jpg"])
    assert table.problems == ["images that no prompt file mentions: 1 (b.jpg)"]


def test_a_changed_label_changes_the_digest(tmp_path: Path) -> None:
    first = bound(tmp_path, {"a.txt": "0 0.5 0.5 1 1\n"}, ["a.jpg"]).digest("boxes")
    assert bound(tmp_path, {"a.txt": "0 0.5 0.5 1 0.5 \n"}, ["a.jpg"]).digest("boxes") != first != "none"


def test_a_dangling_link_is_named_and_harms_no_other(tmp_path: Path) -> None:
    (tmp_path / "b.txt").symlink_to("/nowhere")
    table = bound(tmp_path, {"a.txt": "0 0.5 0.5 1 1\n"}, ["a.jpg", "b.jpg"])
    assert len(table.for_image("a.jpg").prompts) == 1
    assert [problem for problem in table.problems if "b.txt: cannot be read" in problem]
