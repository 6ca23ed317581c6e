"""The options that say what to segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..configs import BoxFormat, Exif, ObjectsConfig
from ..detection.files import EMBEDDED, has_embedded
from ..errors import UsageError
from .options import STDIN

if TYPE_CHECKING:
    from ..batch.job import Job
    from ..io.find import SourceImage
    from ..prompts.select import Selection
    from ..prompts.table import PromptSources, PromptTable
    from .console import ConsoleReporter

PROMPTS = "What to segment"

BoxesOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        rich_help_panel=PROMPTS,
        help="Boxes: COCO instances, COCO results, NDJSON, Label Studio, CVAT, CSV "
        "(file,x0,y0,x1,y1,label,score) or Parquet, or a folder of YOLO labels, Pascal VOC or labelme; - reads stdin.",
    ),
]
BoxFormatOption = Annotated[
    BoxFormat | None,
    typer.Option(
        rich_help_panel=PROMPTS,
        help="What four numbers of a box are: x, y, width, height in pixels; corners; corners, or center and size, "
        "in shares of the image (n). xywh unless given, cxcywhn in YOLO labels.",
    ),
]
ImagesJsonOption = Annotated[
    str | None,
    typer.Option(metavar="FILE", rich_help_panel=PROMPTS, help="COCO JSON with the images of a results list."),
]
PointsOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=PROMPTS,
        help="Point prompts: annotations with points [\\[x, y, 1 or 0], …], joined to the boxes by annotation id.",
    ),
]
CoarseMasksOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        rich_help_panel=PROMPTS,
        help="Masks to refine: a JSON with segmentations, or a folder of PNGs or of labels with polygons; "
        "joined by annotation id.",
    ),
]
FrameOption = Annotated[bool, typer.Option("--frame", rich_help_panel=PROMPTS, help="The whole image is the box.")]
ScoreThresholdOption = Annotated[
    float | None,
    typer.Option(metavar="S", min=0, max=1, rich_help_panel=PROMPTS, help="Drop boxes that score less."),
]
MaxBoxesOption = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, rich_help_panel=PROMPTS, help="Keep the N best boxes of an image."),
]
StrictOption = Annotated[
    bool,
    typer.Option("--strict", rich_help_panel=PROMPTS, help="Exit code 3 if any prompt is lost, whatever the reason."),
]


def check_everything(files: list[str], frame: bool, detector: str | None, multimask: bool) -> None:
    """Raise a UsageError where prompts are given beside --everything."""
    if files or frame or detector is not None:
        raise UsageError(
            "--everything asks for no prompts",
            remedy="leave --boxes, --points, --coarse-masks, --frame and --detector out",
        )
    if multimask:
        raise UsageError("--everything looks at all masks of a point by itself", remedy="leave --multimask out")


def objects_config(multimask: bool, reporter: ConsoleReporter) -> ObjectsConfig | None:
    """How objects are found where nothing says which; by the detector alone where a box has several masks."""
    more = "--everything finds all there is, and --detector yolo11n.pt has classes"
    if multimask:
        reporter.say(f"no prompts given: segmenting what the detector {EMBEDDED} of this package finds; {more}")
        return None
    config = ObjectsConfig()
    side = config.grid_points[-1]
    reporter.say(
        f"no prompts given: segmenting what up to {side} x {side} points find, and beside it "
        f"what the detector {EMBEDDED} of this package finds; {more}"
    )
    return config


def check_listed(images_json: str | None, files: list[str]) -> None:
    """Raise a UsageError where images are listed for no results."""
    if images_json is not None and not files:
        reason = "lists the images of a results list, and none is given"
        raise UsageError(reason, option="images_json", remedy="pass --boxes too")


def check_prompt_options(
    inputs: list[str], files: list[str], images_json: str | None, frame: bool, detector: str | None
) -> None:
    """Raise a UsageError where nothing says what to segment, or more than one thing does."""
    if not files and not frame and detector is None and not has_embedded():
        raise UsageError(
            "nothing says what to segment",
            remedy="pass --detector NAME, --boxes PATH, --points FILE or --coarse-masks PATH, "
            "or --frame to take each whole image as the box",
        )
    if frame and files:
        raise UsageError("--frame is a prompt of its own", remedy="leave --boxes, --points and --coarse-masks out")
    if detector is not None and (frame or files):
        raise UsageError("--detector finds the boxes", remedy="leave --boxes, --points, --coarse-masks and --frame out")
    if [*inputs, *files, images_json].count(STDIN) > 1:
        raise UsageError("stdin can be read once: only one of INPUT and the files of prompts may be -")


def bind_and_tell(
    given: PromptSources,
    images: list[SourceImage],
    selection: Selection,
    reporter: ConsoleReporter,
    *,
    exif: Exif,
    box_format: BoxFormat | None,
) -> PromptTable:
    """What each image is asked, and lines about what is lost.

    Raises:
        HqsamError: nothing is left, or the boxes cannot be meant as they are read.
    """
    from ..prompts.check import check_fits
    from ..prompts.table import bind_prompts, check_used

    for text in given.recognized:
        reporter.say(text)
    table = bind_prompts(given, images, selection)
    for text in table.outside:
        reporter.on_failure(text)
    for text in [*table.notes.lost, *table.notes.remarks]:
        reporter.on_problem(text)
    check_used(given, table, images)
    check_fits(table, images, exif, pixels_assumed=box_format is None)
    return table


def describe_prompts(job: Job, detector: str | None, points_per_side: int | None) -> str:
    """What the images of a job are asked: by a detector, at points of a grid, or by files."""
    if detector is not None:
        return f"what {detector} finds"
    if points_per_side is not None:
        return f"{points_per_side} x {points_per_side} points an image"
    asked = [len(job.prompts.for_image(image.file_name).prompts) for image in job.images]
    return f"{sum(asked)}, in {sum(map(bool, asked))} images"
