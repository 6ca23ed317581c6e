"""`hqsam results`: merge, filter, split, count and convert existing results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..configs import DEFAULT_TOLERANCE, SegmentationKind
from ..errors import UsageError
from ..io.places import as_place
from .console import ConsoleReporter, print_json, print_table
from .options import OverwriteEditedOption, OverwriteOption, PruneOption, QuietOption

if TYPE_CHECKING:
    from ..results.stream import Results

results = typer.Typer(
    no_args_is_help=True,
    help="Merge, filter, split, count and convert results, of any size.",
)
READ = "COCO instances, COCO results, NDJSON, or the output folder of a run; or its URL (s3://…)."
TOLERANCE = 1e-6  # of the sum of fractions

SetArgument = Annotated[str, typer.Argument(metavar="RESULTS", help=READ)]
OutputOption = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="Output file (COCO JSON), or its URL.")
]
RenumberOption = Annotated[bool, typer.Option("--renumber", help="Renumber images and annotations from 1.")]


@results.command(epilog="[bold]Example[/bold]\n\nhqsam results merge monday/ tuesday/ --output week.json")
def merge(
    sets: Annotated[list[str], typer.Argument(metavar="RESULTS...", help=READ)],
    output: OutputOption,
    renumber: RenumberOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Merge results; images and categories are matched by name.

    Ids are kept unless they collide. To merge the shards of a run, masks and journal included, use hqsam merge.
    """
    from ..results.edit import merge as merge_results
    from ..results.stream import open_results

    _write(merge_results([open_results(as_place(path)) for path in sets]), output, renumber, overwrite, quiet)


@results.command(
    "filter", epilog="[bold]Example[/bold]\n\nhqsam results filter hqsam_out --min-score 0.5 --output sure.json"
)
def filter_results(
    given: SetArgument,
    output: OutputOption,
    min_score: Annotated[float | None, typer.Option(metavar="S", min=0, max=1, help="Minimum score, 0 to 1.")] = None,
    categories: Annotated[
        list[str] | None, typer.Option(metavar="NAME,...", help="Keep only these categories; repeatable.")
    ] = None,
    min_area: Annotated[float | None, typer.Option(metavar="PIXELS", min=0, help="Minimum area.")] = None,
    max_area: Annotated[float | None, typer.Option(metavar="PIXELS", min=0, help="Maximum area.")] = None,
    files: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep only the images listed in this file, one name per line.")
    ] = None,
    renumber: RenumberOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Filter annotations by score, category and area, and images by name.

    Images without remaining annotations are kept, and so are annotations without a score.
    """
    from ..results.edit import Choice, choose
    from ..results.stream import open_results

    wanted = None if categories is None else {n.strip() for text in categories for n in text.split(",") if n.strip()}
    choice = Choice(
        min_score=min_score,
        categories=None if wanted is None else frozenset(wanted),
        min_area=min_area,
        max_area=max_area,
        files=None if files is None else _names(files),
    )
    if choice == Choice():
        raise UsageError("no filter", remedy="pass --min-score, --categories, --min-area or --files")
    _write(choose(open_results(as_place(given)), choice), output, renumber, overwrite, quiet)


@results.command(
    epilog="[bold]Example[/bold]\n\nhqsam results split hqsam_out --parts train=0.8,val=0.2 --output sets",
)
def split(
    given: SetArgument,
    parts: Annotated[
        str, typer.Option(metavar="NAME=FRACTION,...", help="Names and fractions of the parts; fractions sum to 1.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="Output folder for NAME.json, or its URL.")
    ],
    seed: Annotated[int, typer.Option(metavar="N", help="Random seed.")] = 0,
    renumber: RenumberOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Split results by image, for example into train and val.

    The part of an image depends only on its name and the seed, so adding images moves no others.
    """
    from ..io.copies import below
    from ..results.edit import split as split_results
    from ..results.stream import open_results

    made = split_results(open_results(as_place(given)), _fractions(parts), seed)
    paths = {name: str(below(as_place(output), f"{name}.json")) for name in made}
    for path in paths.values():  # before writing any
        _check_free(as_place(path), overwrite)
    for name, part in made.items():
        _write(part, paths[name], renumber, overwrite, quiet)


@results.command()
def stats(given: SetArgument, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Count images and annotations, with areas and scores per category."""
    from ..results.count import stats as count
    from ..results.stream import open_results

    found = count(open_results(as_place(given)))
    if as_json:
        print_json(found)
        return
    keys = ("kind", "images", "with_annotations", "failed", "annotations")
    print_table((), [(key.replace("_", " "), str(found[key])) for key in keys])
    if found["categories"]:
        print()
        rows = [
            (name, str(own["annotations"]), _range(own["area"], 0), _range(own["score"], 3))
            for name, own in found["categories"].items()
        ]
        print_table(("category", "annotations", "area: 5 %, median, 95 %", "score"), rows)


@results.command(
    epilog="[bold]Example[/bold]\n\nhqsam results convert out/ --format yolo-seg --images ./imgs --output set"
)
def convert(
    given: SetArgument,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="coco|results|ndjson|yolo|yolo-seg|labelme|voc|labelstudio|cvat",
            help="Output format, as in hqsam segment and detect.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Output file (or its URL) for coco, results and ndjson, else a folder.",
        ),
    ],
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the images, for formats that refer to image files.")
    ] = None,
    segmentation: Annotated[
        SegmentationKind | None, typer.Option(help="Encoding of masks in coco and ndjson; unchanged by default.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(metavar="PIXELS", min=0, help="Maximum distance between polygon and mask outline.")
    ] = DEFAULT_TOLERANCE,
    overwrite: OverwriteOption = False,
    overwrite_edited: OverwriteEditedOption = False,
    prune: PruneOption = False,
    quiet: QuietOption = False,
) -> None:
    """Convert results to another format; masks are converted between RLE and polygons."""
    from ..batch.check_config import check_formats
    from ..batch.prepared import made_by
    from ..io.copies import written_to
    from ..results.stream import open_results
    from ..results.write import FILES, FOLDERS, write_as

    check_formats([form], (*FILES, *FOLDERS))
    if segmentation is not None and form not in ("coco", "ndjson"):
        raise UsageError(
            "applies to COCO and NDJSON only", option="segmentation", remedy="use --format coco, or omit it"
        )
    if images is None and form in ("yolo-seg", "labelme", "labelstudio", "voc"):
        raise UsageError(f"{form} refers to image files", remedy="pass --images DIR")
    reporter = ConsoleReporter(quiet=quiet, verbose=False)
    place = as_place(output)
    if form not in FILES and isinstance(place, str):
        remedy = "write to a local folder, and upload it"
        raise UsageError(f"a URL, which is not supported for {form}", option="output", value=output, remedy=remedy)
    _check_free(place, overwrite, folder=form not in FILES)
    found = open_results(as_place(given))
    reporter.say(f"{given}: {found.kind}")
    with written_to(place) as path:
        made, cost = write_as(
            form,
            path,
            found,
            made_by(),
            images=images,
            segmentation=segmentation,
            tolerance=tolerance,
            overwrite_edited=overwrite_edited,
            prune=prune,
        )
    if cost.masks:
        reporter.say(str(cost))
    reporter.say(f"wrote {place if isinstance(place, str) else made}", "green")


def _write(found: Results, output: str, renumber: bool, overwrite: bool, quiet: bool) -> None:
    from ..batch.prepared import made_by
    from ..io.copies import written_to
    from ..results.edit import renumber as renumbered
    from ..results.write import write_same

    place = as_place(output)
    _check_free(place, overwrite)
    with written_to(place) as path:
        images, annotations = write_same(path, renumbered(found) if renumber else found, made_by())
    reporter = ConsoleReporter(quiet=quiet, verbose=False)
    reporter.say(f"wrote {output}: images: {images}, annotations: {annotations}", "green")


def _check_free(output: Path | str, overwrite: bool, *, folder: bool = False) -> None:
    """Raise a UsageError if existing output would be replaced without `--overwrite`."""
    if isinstance(output, str):
        from ..io.address_folder import AddressFolder

        there = AddressFolder(output).names()
        if any(there):
            raise UsageError("is a folder", file=output, remedy="pass a file name")
        if there and not overwrite:
            raise UsageError("already exists", file=output, remedy="pass --overwrite")
        return
    if not folder and output.is_dir():
        raise UsageError("is a folder", file=output, remedy="pass a file name")
    if folder and output.is_dir() and not overwrite and any(output.iterdir()):
        raise UsageError("folder is not empty", file=output, remedy="pass --overwrite, or choose another folder")
    if output.is_file() and (folder or not overwrite):
        raise UsageError("already exists", file=output, remedy="choose another path" if folder else "pass --overwrite")


def _names(path: Path) -> frozenset[str]:
    """The lines of a file; bytes that are not UTF-8 become surrogate escapes, as in file names."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(
            f"cannot be read ({error.strerror})", file=path, remedy="pass a text file with a name per line"
        ) from None
    return frozenset(os.fsdecode(line.rstrip(b"\r")) for line in lines if line.strip())


def _fractions(text: str) -> dict[str, float]:
    """Fractions by the name of their part."""
    fractions: dict[str, float] = {}
    for item in text.split(","):
        name, _, fraction = item.strip().partition("=")
        number = fraction.replace(".", "", 1)
        if not name or "/" in name or name in fractions or not number.isascii() or not number.isdigit():
            raise UsageError(
                "not NAME=FRACTION", option="parts", value=item, remedy="pass, for example, train=0.8,val=0.2"
            )
        fractions[name] = float(fraction)
    if abs(sum(fractions.values()) - 1) > TOLERANCE:
        raise UsageError(f"fractions sum to {sum(fractions.values()):g}, not 1", option="parts")
    return fractions


def _range(values: list[float] | None, digits: int) -> str:
    return "-" if values is None else ", ".join(f"{value:.{digits}f}" for value in values)
