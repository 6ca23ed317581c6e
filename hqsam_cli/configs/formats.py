"""Tables of mask and prompt formats, without importing their writers and readers."""

from __future__ import annotations

from typing import Literal, NamedTuple


class MaskFormat(NamedTuple):
    """A value of `hqsam segment --format`.

    Attributes:
        writer: what makes its writer, `module.name` in `hqsam_cli.formats`: a class, or a function of records.
        made_of: what the writer needs: the annotations of records, their `polygons` too, or masks in memory.
        file: the name of the file that a function of records writes.
        beside: suffix of another file that it writes beside that.
        rasterized: the function that rasterizes its polygons as its readers do; see `formats.rasterize`.
    """

    writer: str
    made_of: Literal["annotations", "polygons", "masks"] = "annotations"
    file: str = ""
    beside: str | None = None
    rasterized: str = "rasterize.by_pycocotools"


MASK_FORMATS = {
    "coco": MaskFormat("coco.write_coco", file="instances.json"),
    "png": MaskFormat("png.PngWriter", "masks"),
    "idmap": MaskFormat("idmap.IdMapWriter", "masks"),
    "ndjson": MaskFormat("ndjson.write_ndjson", file="instances.ndjson"),
    "yolo-seg": MaskFormat("yolo_seg.YoloSegWriter", "polygons", rasterized="yolo_seg.by_ultralytics"),
    "labelme": MaskFormat("labelme.LabelmeWriter", "polygons", rasterized="rasterize.by_pillow"),
    "voc": MaskFormat("voc.VocWriter"),
    "labelstudio": MaskFormat("labelstudio.write_tasks", "polygons", file="labelstudio.json", beside=".xml"),
    "cvat": MaskFormat("cvat.write_cvat", "polygons", file="cvat.xml"),
    "cutout": MaskFormat("cutouts.CutoutWriter", "masks"),
    "crop": MaskFormat("cutouts.CropWriter", "masks"),
}
# For which annotations need `polygons`.
POLYGON_FORMATS = frozenset(name for name, own in MASK_FORMATS.items() if own.made_of == "polygons")
# Their masks are polygons or RLE, by `--segmentation`.
EITHER_FORMATS = frozenset({"coco", "ndjson"})
# What can be made of records alone: one file, or a folder of labels; see `hqsam results convert`.
FILES = ("coco", "results", "ndjson")
FOLDERS = ("yolo", *(name for name, own in MASK_FORMATS.items() if own.made_of != "masks" and name not in FILES))


class Layout(NamedTuple):
    """A value of `hqsam results convert --layout`: a folder that a program opens as a data set.

    Attributes:
        form: the format that it consists of.
        file: path of the COCO file in the folder; empty if the format is a folder itself.
        images: folder of the images next to it.
        symbolic: whether the program follows symbolic links out of that folder.
    """

    form: str
    file: str = ""
    images: str = ""
    symbolic: bool = True


LAYOUTS = {
    "datumaro": Layout("coco", "annotations/instances_default.json", "images", symbolic=False),
    "fiftyone": Layout("coco", "labels.json", "data"),
    "ultralytics": Layout("yolo-seg"),
}
# What prompts are read from, each with its reader, `module.name` in `hqsam_cli.prompts.readers`. Of JSON documents:
JSON_PROMPTS = {
    "NDJSON": "ndjson.read_lines",
    "COCO instances": "coco.read_instances",
    "COCO results": "coco.read_results",
    "Label Studio": "labelstudio.read_tasks",
}
# Of the content of a file that is no JSON:
FILE_PROMPTS = {"CVAT": "cvat.read_cvat", "Parquet": "box_table.read_parquet", "CSV": "box_table.read_csv"}
# Of folders with a file an image, by the suffix of these files, with what they are called:
FOLDER_PROMPTS = {
    ".txt": ("YOLO labels", "yolo.read_yolo_folder"),
    ".xml": ("Pascal VOC", "voc.read_voc_folder"),
    ".json": ("labelme", "labelme.read_labelme_folder"),
}
