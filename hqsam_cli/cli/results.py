"""`hqsam results`: files of results joined, filtered, split, counted and converted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..configs import SegmentationKind, SegmentConfig
from ..configs.formats import FILES, FOLDERS
from ..errors import UsageError
from ..io.addresses import path_or_address
from .console import ConsoleReporter, print_json, print_table
from .from_config import option_of
from .options import OverwriteEditedOption, OverwriteOption, PruneOption, QuietOption

if TYPE_CHECKING:
    from ..results.stream import Results

results = typer.Typer(
    no_args_is_help=True,
    help="Files of results: joined, filtered, split, counted and converted, however large they are.",
)
READ = "COCO instances, a COCO results list, NDJSON, or the output of a run; or the address of one (s3://…)."
TOLERANCE = 1e-6  # of the sum of fractions

SetArgument = Annotated[str, typer.Argument(metavar="RESULTS", help=READ)]
OutputOption = Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="COCO JSON, here or at an address.")]
RenumberOption = Annotated[bool, typer.Option("--renumber", help="Number images and annotations from 1.")]
AreaBound = typer.Option(metavar="PIXELS", min=0)


@results.command(epilog="[bold]Example[/bold]\n\nhqsam results merge monday/ tuesday/ --output week.json")
def merge(
    sets: Annotated[list[str], typer.Argument(metavar="RESULTS...", help=READ)],
    output: OutputOption,
    renumber: RenumberOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Join results: images of one name are one image, categories of one name one category.

    Ids stay as far as they can. The shards of one run are joined by hqsam merge, masks and journal included.
    """
    from ..results.edit import merge as merged

    _write(merged([_opened(path) for path in sets]), output, renumber, overwrite, quiet)


@results.command(
    "filter", epilog="[bold]Example[/bold]\n\nhqsam results filter hqsam_out --min-score 0.5 --output sure.json"
)
def filter_results(
    given: SetArgument,
    output: OutputOption,
    min_score: Annotated[float | None, typer.Option(metavar="S", min=0, max=1, help="Minimum score.")] = None,
    categories: Annotated[
        list[str] | None, typer.Option(metavar="NAME,...", help="Only these categories; repeatable.")
    ] = None,
    min_area: Annotated[float | None, AreaBound] = None,
    max_area: Annotated[float | None, AreaBound] = None,
    files: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Only the images that this file names, a line each.")
    ] = None,
    renumber: RenumberOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Keep annotations by score, category and area, and images by a list of their names.

    Images stay though all their annotations go. Annotations without a score stay.
    """
    from ..results.edit import Choice, choose

    wanted = None if categories is None else frozenset(filter(None, map(str.strip, ",".join(categories).split(","))))
    choice = Choice(min_score, wanted, min_area, max_area, None if files is None else _names(files))
    if choice == Choice():
        raise UsageError("nothing says what to keep", remedy="pass --min-score, --categories, --min-area or --files")
    _write(choose(_opened(given), choice), output, renumber, overwrite, quiet)


@results.command(epilog="[bold]Example[/bold]\n\nhqsam results split hqsam_out --parts train=0.8,val=0.2 --output sets")
def split(
    given: SetArgument,
    parts: Annotated[str, typer.Option(metavar="NAME=FRACTION,...", help="Parts, whose fractions add up to 1.")],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="Folder for NAME.json, here or at an address.")
    ],
    seed: Annotated[int, typer.Option(metavar="N", help="Random seed.")] = 0,
    renumber: RenumberOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Split results by images.

    The part of an image follows from its name and the seed alone, so images that are added later move no other.
    """
    from ..io.copies import below
    from ..results.edit import split as parted

    made = parted(_opened(given), _fractions(parts), seed)
    paths = {name: str(below(path_or_address(output), f"{name}.json")) for name in made}
    for path in paths.values():  # before any is written
        _check_free(path_or_address(path), overwrite)
    for name, part in made.items():
        _write(part, paths[name], renumber, overwrite, quiet)


@results.command()
def stats(given: SetArgument, as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False) -> None:
    """Count images and annotations, and show the quantiles of areas and scores by category."""
    from ..results.count import stats as count

    found = count(_opened(given))
    if as_json:
        print_json(found)
        return
    print_table((), [(key.replace("_", " "), str(value)) for key, value in found.items() if key != "categories"])
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
            metavar="|".join((*FILES, *FOLDERS)),
            help="As of segment and detect.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="PATH", help="File for coco, results, ndjson, or its address; else a folder."
        ),
    ],
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the images, for labels that name them.")
    ] = None,
    segmentation: Annotated[
        SegmentationKind | None, typer.Option(help="Masks in coco and ndjson; unchanged by default.")
    ] = None,
    tolerance: Annotated[float | None, option_of(SegmentConfig, "tolerance")] = None,
    overwrite: OverwriteOption = False,
    overwrite_edited: OverwriteEditedOption = False,
    prune: PruneOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write results in another format; RLE becomes polygons, and polygons RLE, where that is asked for."""
    from ..batch.check_config import check_formats
    from ..configs.run_identity import made_by
    from ..io.copies import written_to
    from ..results.write import write_as

    check_formats([form], (*FILES, *FOLDERS))
    if segmentation is not None and form not in ("coco", "ndjson"):
        raise UsageError("is for COCO and NDJSON", option="segmentation", remedy="pass --format coco, or leave it out")
    if images is None and form in ("yolo-seg", "labelme", "labelstudio", "voc"):
        raise UsageError(f"{form} says where the images are", remedy="pass --images DIR")
    place = path_or_address(output)
    if form not in FILES and isinstance(place, str):
        remedy = "write a folder of this machine, and copy that"
        raise UsageError(f"an address, where {form} is not written", option="output", value=output, remedy=remedy)
    _check_free(place, overwrite, folder=form not in FILES)
    reporter = ConsoleReporter(quiet=quiet, verbose=False)
    found = _opened(given)
    reporter.say(f"{given}: {found.kind}")
    with written_to(place) as path:
        made, cost = write_as(
            form, path, found, made_by(), images=images, segmentation=segmentation, tolerance=tolerance,
            overwrite_edited=overwrite_edited, prune=prune,
        )  # fmt: skip
    if cost.masks:
        reporter.say(str(cost))
    reporter.say(f"wrote {place if isinstance(place, str) else made}", "green")


def _opened(path: str) -> Results:
    from ..results.stream import open_results

    return open_results(path_or_address(path))


def _write(found: Results, output: str, renumber: bool, overwrite: bool, quiet: bool) -> None:
    from ..configs.run_identity import made_by
    from ..io.copies import written_to
    from ..results.edit import renumber as renumbered
    from ..results.write import write_same

    place = path_or_address(output)
    _check_free(place, overwrite)
    with written_to(place) as path:
        images, annotations = write_same(path, renumbered(found) if renumber else found, made_by())
    ConsoleReporter(quiet=quiet).say(f"wrote {output}: images: {images}, annotations: {annotations}", "green")


def _check_free(output: Path | str, overwrite: bool, *, folder: bool = False) -> None:
    """Raise where something would be replaced that may not be."""
    if isinstance(output, str):
        from ..io.address_folder import AddressFolder

        there = AddressFolder(output).names()
        is_folder, is_file = any(there), bool(there)
    else:
        is_folder, is_file = output.is_dir(), output.is_file()
    if is_folder and not folder:
        raise UsageError("a folder", file=output, remedy="give the name of a file")
    if is_file and (folder or not overwrite):
        raise UsageError("is there", file=output, remedy="give another path" if folder else "pass --overwrite")
    if is_folder and not overwrite and any(Path(output).iterdir()):
        raise UsageError("a folder that holds something", file=output, remedy="pass --overwrite, or give another one")


def _names(path: Path) -> frozenset[str]:
    """The lines of a file; bytes that are not UTF-8 are lone surrogates, as in names of files."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", file=path, remedy="give a list of names") from None
    return frozenset(os.fsdecode(line.rstrip(b"\r")) for line in lines if line.strip())


def _fractions(text: str) -> dict[str, float]:
    """Fractions by the name of their part."""
    fractions: dict[str, float] = {}
    for item in text.split(","):
        name, _, number = item.strip().partition("=")
        digits = number.replace(".", "", 1)
        if not name or "/" in name or name in fractions or not digits.isascii() or not digits.isdigit():
            raise UsageError("no fraction of a part", option="parts", value=item, remedy="give train=0.8,val=0.2")
        fractions[name] = float(number)
    if abs(sum(fractions.values()) - 1) > TOLERANCE:
        total = f"{sum(fractions.values()):g}"
        raise UsageError(f"fractions add up to {total}", option="parts", remedy="let them add up to 1")
    return fractions


def _range(values: list[float] | None, digits: int) -> str:
    return "-" if values is None else ", ".join(f"{value:.{digits}f}" for value in values)
