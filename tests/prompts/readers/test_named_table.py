"""CSV files of Open Images, Kaggle and MakeSense; see `test_kaggle_predictions`."""

from __future__ import annotations

import pytest

from hqsam_cli.io.find import SourceImage
from hqsam_cli.prompts.match import match_images
from tests.prompts.readers.reading import objects, read

OPEN_IMAGES = """ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf
000002b66c9c498e,xclick,/m/01g317,1,0.0125,0.195312,0.148438,0.5875,0,1,0
000002b66c9c498e,xclick,/m/09j2d,0.75,0.025,0.276563,0.714063,0.948438,0,1,1
0000000000000123,activemil,/m/01g317,1,0.5,0.25,0.1,0.2,0,0,0
"""


def test_open_images_has_both_x_first() -> None:
    file = read(OPEN_IMAGES, label="train-annotations-bbox.csv")
    assert file.kind == "Open Images"
    first, group = file.annotations
    assert (first.field, first.value) == ("xyxyn", (0.0125, 0.148438, 0.195312, 0.5875))
    assert (first.category_name, first.score, group.score) == ("/m/01g317", 1, 0.75)
    assert (first.crowd, group.crowd) == (None, "box")
    assert "has no area, skipped: 1 (row 3 of" in file.notes.lost[0]
    names = ["imgs/000002b66c9c498e.jpg", "imgs/0000000000000123.jpg"]
    matches = match_images(file, [SourceImage(name, name) for name in names])
    assert sorted(matches.names.values()) == sorted(names)


KAGGLE = """image_id,width,height,bbox,source
b6ab77fd7,1024,1024,"[834.0, 222.0, 56.0, 36.0]",usask_1
b6ab77fd7,1024,1024,"[226.0, 548.0, 130.0, 58.0]",usask_1
a.jpg,1024,800,,usask_1
c,1024,800,"[1.0, 2.0]",usask_1
"""


def test_boxes_of_kaggle_are_lists_in_a_column() -> None:
    file = read(KAGGLE, label="train.csv")
    assert (file.kind, [own.size for own in file.images.values()]) == (
        "Kaggle",
        [(1024, 1024), (1024, 800), (1024, 800)],
    )
    assert objects(file) == [("b6ab77fd7", None, (834, 222, 890, 258)), ("b6ab77fd7", None, (226, 548, 356, 606))]
    assert {file.images[key].name for key in file.silent} == {"c"}


HEADER = "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height\n"
MAKESENSE = 'cat,10,20,30,40,a.jpg,80,60\n"dog, big",1,2,3,4,b.jpg,100,50\n'


@pytest.mark.parametrize("text", [MAKESENSE, HEADER + MAKESENSE])
def test_makesense_with_and_without_a_header(text: str) -> None:
    file = read(text, label="labels.csv")
    assert (file.kind, [own.size for own in file.images.values()]) == ("MakeSense", [(80, 60), (100, 50)])
    assert objects(file) == [("a.jpg", "cat", (10, 20, 40, 60)), ("b.jpg", "dog, big", (1, 2, 4, 6))]


def test_other_tables_are_not_taken_for_these() -> None:
    assert read("file,x0,y0,x1,y1\na.jpg,1,2,3,4\n").kind == "CSV"
    assert read("a.jpg,1,2,3,4,cat,0.5\n").kind == "CSV"
