"""XML of LabelMe."""

from __future__ import annotations

import numpy as np

from tests.prompts.readers.reading import masks, objects, read

POINTS = "<pt><x>10</x><y>20</y></pt><pt><x>30</x><y>20</y></pt><pt><x>30</x><y>40</y></pt><pt><x>10</x><y>40</y></pt>"
POLYGON = f"<polygon><username>me</username>{POINTS}</polygon>"
XML = f"""<annotation><filename>
a.jpg
</filename><folder>users</folder><source><submittedBy>me</submittedBy></source>
<imagesize><nrows>60</nrows><ncols>80</ncols></imagesize>
<object><name>
car
</name><deleted>0</deleted><verified>0</verified><id>0</id>{POLYGON}</object>
<object><name>gone</name><deleted>1</deleted><id>1</id>{POLYGON}</object>
<object><name>bus</name><deleted>0</deleted><id>2</id><type>bounding_box</type>{POLYGON}</object>
<object><name/><deleted>0</deleted><id>3</id><segm><username>me</username><box><xmin>1</xmin><ymin>2</ymin>
<xmax>5</xmax><ymax>6</ymax></box><mask>a_mask_3.png</mask></segm></object>
<object><name>line</name><deleted>0</deleted><polygon><pt><x>1</x><y>2</y></pt><pt><x>3</x><y>4</y></pt></polygon></object>
</annotation>"""


def test_objects_of_every_kind() -> None:
    file = read(XML, label="users/a.xml")
    assert (file.kind, [(own.name, own.size) for own in file.images.values()]) == (
        "LabelMe XML",
        [("users/a", (80, 60))],
    )
    assert [own[1:] for own in objects(file)] == [
        ("car", (10, 20, 30, 40)),
        ("bus", (10, 20, 30, 40)),
        ("object", (1, 2, 5, 6)),
    ]
    assert "not polygons or masks, skipped: 1 (object 5)" in file.notes.lost[0] and file.entries == 4


def test_polygons_are_masks() -> None:
    truth = np.zeros((60, 80), bool)
    truth[20:40, 10:30] = True
    (mask,) = masks(XML, 80, 60, "a.xml")
    assert (mask == truth).all()


def test_voc_is_not_taken_for_it() -> None:
    other = XML.replace("polygon>", "bndbox>").replace("segm>", "part>").replace("imagesize>", "size>")
    assert read(other, label="a.xml").kind == "Pascal VOC"
    empty = (
        "<annotation><filename>b.jpg</filename><imagesize><nrows>60</nrows><ncols>80</ncols></imagesize></annotation>"
    )
    assert read(empty, label="b.xml").kind == "LabelMe XML"
