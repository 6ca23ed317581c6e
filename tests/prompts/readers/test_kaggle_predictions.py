"""CSV files of predictions for Kaggle."""

from __future__ import annotations

import pytest

from tests.prompts.readers.reading import objects, read


def test_five_numbers_are_a_score_and_sizes() -> None:
    file = read("image_id,PredictionString\na,1.0 10 20 30 40 0.5 1 2 3 4.5\nb,\n")
    assert (file.kind, file.box_format) == ("Kaggle predictions", "xywh")
    assert [(*own, a.score) for own, a in zip(objects(file), file.annotations, strict=True)] == [
        ("a", None, (10, 20, 40, 60), 1),
        ("a", None, (1, 2, 4, 6.5), 0.5),
    ]
    assert [own.name for own in file.images.values()] == ["a", "b"] and not file.silent


def test_six_are_a_class_a_score_and_corners() -> None:
    text = (
        "ID,TARGET,PredictionString\na,x,3 0.7 10 20 30 40 0 0.5 1 2 3 4.5\nb,x,14 1 0 0 1 1\nc,x,/m/01 0.9 5 6 7 8\n"
    )
    file = read(text)
    assert file.box_format == "xyxy"
    assert [
        (own[0], a.category, own[1], own[2], a.score) for own, a in zip(objects(file), file.annotations, strict=True)
    ] == [
        ("a", 3, None, (10, 20, 30, 40), 0.7),
        ("a", 0, None, (1, 2, 3, 4.5), 0.5),
        ("c", None, "/m/01", (5, 6, 7, 8), 0.9),
    ]  # the box of b says that it has no objects
    assert not file.silent


def test_a_row_of_another_kind_is_told() -> None:
    rows = "".join(f"a{n},0.5 1 2 3 4\n" for n in range(20))
    file = read(f"image_id,PredictionString\n{rows}b,0.5 1 2 3\n")
    assert len(file.annotations) == 20 and file.silent == {"b"}
    assert "rows of another kind than most, skipped: 1 (row 21)" in file.notes.lost[0]


@pytest.mark.parametrize("cell", ["0.5 1 2 3 4 6 7", "0.5 1 2 3", "2 3 4 5 6", "1 0.5 4 4 2 2"])
def test_what_can_be_neither_is_named(cell: str) -> None:
    with pytest.raises(ValueError, match="a PredictionString whose rows can be neither score"):
        read(f"image_id,PredictionString\na,{cell}\n")


def test_what_can_be_both_is_named() -> None:
    both = ["5"] * 30  # of which six of five numbers have a score, and five of six a score and two corners
    for places, number in (({*range(0, 30, 5), *range(1, 30, 6)}, "1"), ({*range(2, 30, 6), *range(3, 30, 6)}, "0.5")):
        for place in places:
            both[place] = number
    with pytest.raises(ValueError, match="can be both"):
        read(f"image_id,PredictionString\na,{' '.join(both)}\n")
