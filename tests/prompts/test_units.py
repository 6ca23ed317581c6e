"""In which format boxes are that do not say it: the numbers of a table without a header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hqsam_cli.configs import BoxFormat, PromptConfig
from hqsam_cli.errors import HqsamError
from hqsam_cli.io.find import SourceImage
from hqsam_cli.prompts.read import PromptSources, read_prompts
from hqsam_cli.prompts.table import PromptTable, bind_prompts

PHOTOS = {"a.jpg": (100, 80), "b, c.jpg": (90, 90)}
CORNERS = "".join(f"a.jpg,{n},{n},{n + 60.3},{n + 50},cat\n" for n in range(20))


def bound(folder: Path, text: str, box_format: BoxFormat | None = None) -> tuple[PromptSources, PromptTable]:
    """The boxes of a CSV beside these photos."""
    for name, size in PHOTOS.items():
        Image.new("L", size).save(folder / name)
    (folder / "own.csv").write_text(text, newline="")
    sources = read_prompts(PromptConfig(boxes=str(folder / "own.csv"), box_format=box_format))
    return sources, bind_prompts(sources, [SourceImage(str(folder / name), name) for name in PHOTOS])


@pytest.mark.parametrize(
    ("text", "box_format", "boxes"),
    [
        ("a.jpg,10,20,30,40,cat\na.jpg,50,60,20,10\n", "xywh", [(10, 20, 40, 60), (50, 60, 70, 70)]),
        ("a.jpg,1,2,90,70\na.jpg,60,50,40,30\n", "xywh", [(1, 2, 91, 72), (60, 50, 100, 80)]),
        ("a.jpg,30,20,40.1,50.7\n", "xyxy", [(30, 20, 40.1, 50.7)]),  # could be either: the documented columns
        ("a.jpg,30,20,80,79\r\n\r\n", "xyxy", [(30, 20, 80, 79)]),
        ("unknown.jpg,1,2,3,4\n" * 5 + "a.jpg,50,40,20,30\n", "xywh", [(50, 40, 70, 70)]),
        (CORNERS, "xyxy", [(n, n, n + 60.3, n + 50) for n in range(20)]),
    ],
)
def test_numbers_without_a_header_are_what_they_can_be_in_their_photos(
    tmp_path: Path, text: str, box_format: str, boxes: list[Any]
) -> None:
    sources, table = bound(tmp_path, text)
    assert [prompt.box for prompt in table.for_image("a.jpg").prompts] == boxes
    assert sources.recognized[0].endswith(f"({box_format})")
    said = f"no header; boxes read as {box_format}, by their numbers and the sizes of the images"
    assert any(said in text for text in table.notes.remarks)


def test_no_row_becomes_a_size_among_corners(tmp_path: Path) -> None:
    _, table = bound(tmp_path, CORNERS + "a.jpg,90,60,30,10,cat\n")
    assert len(table.for_image("a.jpg").prompts) == 20
    assert "boxes without area, skipped: 1 (a.jpg)" in table.notes.lost[0]


def test_if_most_could_be_either_the_file_is_refused(tmp_path: Path) -> None:
    text = "".join(f"a.jpg,{n},{n},{n + 20},{n + 10}\n" for n in range(30)) + "a.jpg,50,60,20,10\n"
    with pytest.raises(HqsamError, match=r"of its first 31 boxes 31 could be sizes, and 30 corners.*`box_format` xywh"):
        bound(tmp_path, text)
    sources, table = bound(tmp_path, text, "xywh")
    assert len(table.for_image("a.jpg").prompts) == 31 and sources.recognized[0].endswith("(xywh)")


def test_label_and_score_follow_the_numbers(tmp_path: Path) -> None:
    _, table = bound(tmp_path, 'a.jpg,10,20,30.5,40,red bag,0.5\na.jpg,1,2,3,4,ladder\n"b, c.jpg",5,6,7,8,,1\n')
    names = {category["id"]: category["name"] for category in table.categories}
    found = [(n, p.box, names[p.category_id], p.score) for n in PHOTOS for p in table.for_image(n).prompts]
    assert found == [
        ("a.jpg", (10, 20, 30.5, 40), "red bag", 0.5),
        ("a.jpg", (1, 2, 3, 4), "ladder", None),
        ("b, c.jpg", (5, 6, 7, 8), "object", 1.0),
    ]
