"""Tables of mask and prompt formats, without importing their writers and readers."""

from __future__ import annotations

from typing import Literal, NamedTuple

BY_CENTERS = "rasterize.by_pycocotools"  # reads polygons as they are


class MaskFormat(NamedTuple):
    """A value of `hqsam segment --format`.

    Attributes:
        writer: what makes its writer, `module.name` in `hqsam_cli.formats`: a class, or a function of records.
        made_of: what the writer needs: the annotations of records, with masks or `polygons`, or masks in memory.
        file: the name of the file that a function of records writes.
        beside: suffix of another file that it writes beside that.
        rasterized: the function that rasterizes its polygons as its readers do; see `formats.rasterize`.
    """

    writer: str
    made_of: Literal["annotations", "rle", "polygons", "masks"] = "annotations"
    file: str = ""
    beside: str | None = None
    rasterized: str = BY_CENTERS


MASK_FORMATS = {
    "coco": MaskFormat("coco.write_coco", file="instances.json"),
    "png": MaskFormat("image_writer.PngWriter", "masks"),
    "idmap": MaskFormat("image_writer.IdMapWriter", "masks"),
    "ndjson": MaskFormat("ndjson.write_ndjson", file="instances.ndjson"),
    "yolo-seg": MaskFormat("yolo_seg.YoloSegWriter", "polygons", rasterized="yolo_seg.by_ultralytics"),
    "yolo-obb": MaskFormat("yolo_obb.YoloObbWriter", "rle"),
    "labelme": MaskFormat("labelme.LabelmeWriter", "polygons", rasterized="rasterize.by_pillow"),
    "voc": MaskFormat("voc.VocWriter"),
    "labelstudio": MaskFormat("labelstudio.write_tasks", "polygons", file="labelstudio.json", beside=".xml"),
    "cvat": MaskFormat("cvat.write_cvat", "polygons", file="cvat.xml"),
    "cvat-obb": MaskFormat("cvat.write_rotated", "rle", file="cvat_boxes.xml"),
    "geojson": MaskFormat("geojson.GeoJsonWriter", "rle"),
    "cutout": MaskFormat("cutouts.CutoutWriter", "masks"),
    "crop": MaskFormat("cutouts.CropWriter", "masks"),
}
# For which annotations need `polygons`, and `segmentation`.
POLYGON_FORMATS = frozenset(name for name, own in MASK_FORMATS.items() if own.made_of == "polygons")
RLE_FORMATS = frozenset(name for name, own in MASK_FORMATS.items() if own.made_of == "rle")
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
# What prompts are read from, each with its reader, `module.name` in `hqsam_cli.prompts.readers`; the first that accepts
# a document reads it. Of parsed JSON:
JSON_PROMPTS = {
    "NDJSON": "coco.read_lines",
    "COCO instances": "coco.read_instances",
    "COCO results": "coco.read_results",
    "Label Studio": "labelstudio.read_tasks",
    "labelme": "labelme.read_labelme",
    "GeoJSON": "geojson.read_geojson",
    "SageMaker": "sagemaker.read_manifest",
    "Vertex AI": "mapped.VERTEX_AI",
    "Ultralytics NDJSON": "ultralytics_ndjson.read_dataset",
    "Hugging Face": "hugging_face.read_metadata",
    "Gemini": "mapped.GEMINI",
    "Qwen-VL": "qwen.QWEN",
    "PaliGemma": "mapped.PALIGEMMA",
    "Moondream": "mapped.MOONDREAM",
    "Florence-2": "mapped.FLORENCE_2",
    "Grounding DINO": "mapped.GROUNDING_DINO",
    "Transformers pipeline": "mapped.PIPELINE",
    "MMDetection": "mapped.MMDETECTION",
    "Ultralytics results": "mapped.ULTRALYTICS",
    "Darknet": "mapped.DARKNET",
    "supervision": "mapped.SUPERVISION",
    "Azure Vision": "mapped.AZURE_VISION",
    "Azure Custom Vision": "mapped.CUSTOM_VISION",
    "BDD100K": "mapped.BDD100K",
    "ODVG": "mapped.ODVG",
    "JSON table": "box_table.read_records",
    "Labelbox": "labelbox.read_labelbox",
    "VIA": "via.read_via",
    "VIA 3": "via3.read_via3",
    "Create ML": "createml.read_createml",
    "SA-1B": "sa1b.read_sa1b",
    "Darwin": "darwin.read_darwin",
    "Supervisely": "supervisely.read_supervisely",
}
# Of parsed XML:
XML_PROMPTS = {"LabelMe XML": "labelme_xml.read_labelme_xml", "Pascal VOC": "voc.read_voc", "CVAT": "cvat.read_cvat"}
# Of the content of other files:
FILE_PROMPTS = {
    "answer of a model": "answer_text.read_text",
    "Hugging Face Parquet": "hugging_face.read_parquet",
    "Parquet": "box_table.read_parquet",
    "YOLO labels": "yolo.read_yolo",
    "Open Images": "named_table.OPEN_IMAGES",
    "Kaggle": "named_table.KAGGLE",
    "Kaggle predictions": "kaggle_predictions.read_predictions",
    "MakeSense": "named_table.MAKESENSE",
    "CSV": "box_table.read_csv",
}
# The most used of them, for help and messages; `docs/formats/README.md` lists all.
COMMON_PROMPTS = (
    "COCO instances",
    "COCO results",
    "YOLO labels",
    "Pascal VOC",
    "labelme",
    "CVAT",
    "Label Studio",
    "CSV",
)
LABEL_SUFFIXES = (".txt", ".xml", ".json", ".geojson")  # of the files that are read from a folder
