"""`hqsam results`: merge, filter, split, count and convert existing results."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..configs import SegmentationKind, SegmentConfig
from ..configs.formats import FILES, FOLDERS, LAYOUTS
from ..errors import UsageError
from ..io.addresses import path_or_address
from .console import print_json, print_table
from .from_config import option_of
from .options import OverwriteEditedOption, PruneOption, QuietOption
from .plain import complete_choices
from .reporter import ConsoleReporter

if TYPE_CHECKING:
    from ..results.stream import Results

results = typer.Typer(
    no_args_is_help=True,
    help="Merge, filter, split, count and convert results, of any size.",
)
READ = "COCO instances, COCO results, NDJSON, or the output folder of a run; or its URL (s3://…)."
TOLERANCE = 1e-6  # of the sum of fractions
WITH_IMAGES = ("yolo-seg", "yolo-obb", "labelme", "labelstudio", "voc", "geojson")  # formats that refer to image files

SetArgument = Annotated[str, typer.Argument(metavar="RESULTS", help=READ)]
OutputOption = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="Output file (COCO JSON), or its URL.")
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Exit with code 3 if any entry is left out or gets another id.")
]
ExclusiveOption = Annotated[bool, option_of(SegmentConfig, "exclusive")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace existing output files.")]
RenumberOption = Annotated[bool, typer.Option("--renumber", help="Renumber images and annotations from 1.")]


@results.command(epilog="[bold]Example[/bold]\n\nhqsam results merge monday/ tuesday/ --output week.json")
def merge(
    sets: Annotated[list[str], typer.Argument(metavar="RESULTS...", help=READ)],
    output: OutputOption,
    renumber: RenumberOption = False,
    strict: StrictOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Merge results; images and categories are matched by name.

    Ids are kept unless they collide. To merge the shards of a run, masks and journal included, use hqsam merge.
    """
    from ..results.edit import merge as merged

    reporter = ConsoleReporter(quiet=quiet)
    found = merged([_opened(path, reporter) for path in sets])
    with _telling(found, reporter, strict):
        _write(found, output, renumber, overwrite, reporter)


@results.command(
    "filter", epilog="[bold]Example[/bold]\n\nhqsam results filter hqsam_out --score-threshold 0.5 --output sure.json"
)
def filter_results(
    given: SetArgument,
    output: OutputOption,
    score_threshold: Annotated[
        float | None, typer.Option(metavar="S", min=0, max=1, help="Minimum score, 0 to 1, as in hqsam segment.")
    ] = None,
    categories: Annotated[
        list[str] | None, typer.Option(metavar="NAME,...", help="Keep only these categories; repeatable.")
    ] = None,
    min_area: Annotated[float | None, typer.Option(metavar="PIXELS", min=0, help="Minimum area.")] = None,
    max_area: Annotated[float | None, typer.Option(metavar="PIXELS", min=0, help="Maximum area.")] = None,
    files: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep only the images listed in this file, one name per line.")
    ] = None,
    only: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep only the annotations marked in a report: its CSV or COCO "
            "export, or annotation ids, one per line.",
        ),
    ] = None,
    drop: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Drop the marked annotations; files as in --only.")
    ] = None,
    max_suspicion: Annotated[
        float | None,
        typer.Option(
            metavar="S", min=0, max=1, help="Maximum suspicion, 0 to 1, in the report of a run (hqsam report)."
        ),
    ] = None,
    exclusive: ExclusiveOption = False,
    renumber: RenumberOption = False,
    strict: StrictOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Filter annotations by score, category, area, id and suspicion, and images by name; then apply --exclusive.

    Images without remaining annotations are kept, and so are annotations without a score.
    """
    from ..results.edit import Choice, choose
    from ..results.exclusive import exclusive as exclusive_masks
    from ..results.marks import marked_ids, suspicious_ids

    wanted = None if categories is None else frozenset(filter(None, map(str.strip, ",".join(categories).split(","))))
    names = None if files is None else _names(files)
    ids, dropped = None if only is None else marked_ids(only), frozenset() if drop is None else marked_ids(drop)
    choice = Choice(score_threshold, wanted, min_area, max_area, names, ids, dropped)
    if choice == Choice() and max_suspicion is None and not exclusive:
        raise UsageError(
            "no filter",
            remedy="pass --score-threshold, --categories, --min-area, --files, --drop, --max-suspicion or --exclusive",
        )
    reporter = ConsoleReporter(quiet=quiet)
    found = _opened(given, reporter)
    if max_suspicion is not None:
        choice = replace(choice, dropped=dropped | suspicious_ids(found, path_or_address(given), max_suspicion))
    found = choose(found, choice)
    found = exclusive_masks(found) if exclusive else found
    with _telling(found, reporter, strict):
        _write(found, output, renumber, overwrite, reporter)


@results.command(epilog="[bold]Example[/bold]\n\nhqsam results split hqsam_out --parts train=0.8,val=0.2 --output sets")
def split(
    given: SetArgument,
    parts: Annotated[
        str, typer.Option(metavar="NAME=FRACTION,...", help="Names and fractions of the parts; fractions sum to 1.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="Output folder for NAME.json, or its URL.")
    ],
    seed: Annotated[int, typer.Option(metavar="N", help="Random seed.")] = 0,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Keep images together whose names have the same first group, or else the same match, such as ^[^/]+/ "
            "for the frames in a folder.",
        ),
    ] = None,
    renumber: RenumberOption = False,
    strict: StrictOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Split results by image, for example into train and val.

    The part of an image depends only on its name and the seed, so adding images moves no others.
    """
    from ..io.copies import below
    from ..results.edit import split as parted

    reporter = ConsoleReporter(quiet=quiet)
    fractions = _fractions(parts)
    try:
        pattern = None if group_by is None else re.compile(group_by)
    except re.error as error:
        raise UsageError(f"not a regular expression ({error})", option="group_by", value=group_by) from None
    found = _opened(given, reporter)
    made = parted(found, fractions, seed, pattern)
    paths = {name: str(below(path_or_address(output), f"{name}.json")) for name in made}
    for path in paths.values():  # before writing any
        _check_free(path_or_address(path), overwrite)
    with _telling(found, reporter, strict):
        for name, part in made.items():
            _write(part, paths[name], renumber, overwrite, reporter)


@results.command()
def stats(
    given: SetArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    strict: StrictOption = False,
) -> None:
    """Count images and annotations, with areas and scores per category."""
    from ..results.count import stats as count

    reporter = ConsoleReporter()
    found = _opened(given, reporter)
    with _telling(found, reporter, strict):
        counts = count(found)
        if as_json:
            print_json(counts)
        else:
            _print_counts(counts)


@results.command(
    epilog="[bold]Example[/bold]\n\nhqsam results convert out/ --format yolo-seg --images ./imgs --output set"
)
def convert(
    given: SetArgument,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Output file (or its URL) for coco, results and ndjson, else a folder.",
        ),
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="|".join((*FILES, *FOLDERS)),
            autocompletion=complete_choices((*FILES, *FOLDERS)),
            help="Output format, as in hqsam segment and detect.",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(LAYOUTS),
            autocompletion=complete_choices(LAYOUTS),
            help="Folder layout that this program opens, with links to the images; instead of --format.",
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the images, for formats that refer to image files.")
    ] = None,
    segmentation: Annotated[
        SegmentationKind | None,
        typer.Option(
            help="Encoding of masks in coco and ndjson; unchanged by default. docs/formats/readers.md lists the "
            "programs that read polygons or RLE inexactly."
        ),
    ] = None,
    tolerance: Annotated[float | None, option_of(SegmentConfig, "tolerance")] = None,
    exclusive: ExclusiveOption = False,
    strict: StrictOption = False,
    overwrite: OverwriteOption = False,
    overwrite_edited: OverwriteEditedOption = False,
    prune: PruneOption = False,
    quiet: QuietOption = False,
) -> None:
    """Convert results to another format; masks are converted between RLE and polygons."""
    from ..batch.check_config import check_formats
    from ..configs.run_identity import made_by
    from ..io.copies import written_to
    from ..results.exclusive import exclusive as exclusive_masks
    from ..results.write import write_as

    if (form is None) == (layout is None):
        raise UsageError("pass either --format or --layout", remedy="such as --format coco")
    own = None
    if layout is not None:
        if layout not in LAYOUTS:
            raise UsageError("unknown layout", option="layout", value=layout, remedy=f"use {', '.join(LAYOUTS)}")
        own = LAYOUTS[layout]
    form = own.form if own else form
    assert form is not None
    check_formats([form], (*FILES, *FOLDERS))
    if segmentation is not None and form not in ("coco", "ndjson"):
        raise UsageError(
            "applies to COCO and NDJSON only", option="segmentation", remedy="use --format coco, or omit it"
        )
    if images is None and (layout is not None or form in WITH_IMAGES):
        raise UsageError(f"{layout or form} refers to image files", remedy="pass --images DIR")
    place = path_or_address(output)
    is_folder = layout is not None or form not in FILES
    if is_folder and isinstance(place, str):
        remedy = "write to a local folder, and upload it"
        reason = f"a URL, which is not supported for {layout or form}"
        raise UsageError(reason, option="output", value=output, remedy=remedy)
    _check_free(place, overwrite, folder=is_folder)
    reporter = ConsoleReporter(quiet=quiet, verbose=False)
    found = _opened(given, reporter)
    reporter.say(f"{given}: {found.kind}")
    found = exclusive_masks(found) if exclusive else found
    with _telling(found, reporter, strict):
        with written_to(place) as path:
            made, cost = write_as(
                form, path, found, made_by(), layout=own, images=images, segmentation=segmentation, tolerance=tolerance,
                overwrite_edited=overwrite_edited, prune=prune,
            )  # fmt: skip
        for line in cost.lines():
            reporter.say(line)
        reporter.say(f"wrote {place if isinstance(place, str) else made}", "green")


def _opened(path: str, reporter: ConsoleReporter) -> Results:
    from ..results.stream import open_results

    found = open_results(path_or_address(path))
    if found.unfinished:
        reporter.say(found.unfinished, "yellow")
    return found


@contextmanager
def _telling(found: Results, reporter: ConsoleReporter, strict: bool) -> Iterator[None]:
    """Report the problems of results after the block, which may add some; with `strict`, exit with code 3 if any."""
    try:
        yield
    finally:
        problems = dict.fromkeys(text for problems in found.problems for text in problems)
        for text in problems:
            reporter.say(text, "yellow")
    if strict and problems:
        raise typer.Exit(3)


def _write(found: Results, output: str, renumber: bool, overwrite: bool, reporter: ConsoleReporter) -> None:
    from ..configs.run_identity import made_by
    from ..io.copies import written_to
    from ..results.edit import renumber as renumbered
    from ..results.write import write_same

    place = path_or_address(output)
    _check_free(place, overwrite)
    with written_to(place) as path:
        images, annotations = write_same(path, renumbered(found) if renumber else found, made_by())
    reporter.say(f"wrote {output}: images: {images}, annotations: {annotations}", "green")


def _check_free(output: Path | str, overwrite: bool, *, folder: bool = False) -> None:
    """Raise a UsageError if existing output would be replaced without `--overwrite`."""
    if isinstance(output, str):
        from ..io.address_folder import AddressFolder

        there = AddressFolder(output).names()
        is_folder, is_file = any(there), bool(there)
    else:
        is_folder, is_file = output.is_dir(), output.is_file()
    if is_folder and not folder:
        raise UsageError("is a folder", file=output, remedy="pass a file name")
    if is_file and (folder or not overwrite):
        raise UsageError("already exists", file=output, remedy="choose another path" if folder else "pass --overwrite")
    if is_folder and not overwrite and any(Path(output).iterdir()):
        raise UsageError("folder is not empty", file=output, remedy="pass --overwrite, or choose another folder")


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
        name, _, number = item.strip().partition("=")
        digits = number.replace(".", "", 1)
        if not name or "/" in name or name in fractions or not digits.isascii() or not digits.isdigit():
            raise UsageError(
                "not NAME=FRACTION", option="parts", value=item, remedy="pass, for example, train=0.8,val=0.2"
            )
        fractions[name] = float(number)
    if abs(sum(fractions.values()) - 1) > TOLERANCE:
        total = f"{sum(fractions.values()):g}"
        raise UsageError(f"fractions sum to {total}, not 1", option="parts")
    return fractions


def _print_counts(counts: dict[str, Any]) -> None:
    totals = {key.replace("_", " "): str(value) for key, value in counts.items() if key != "categories"}
    used = sum(own["annotations"] > 0 for own in counts["categories"].values())
    print_table((), [*totals.items(), ("categories", f"{used} of {len(counts['categories'])}")])
    if counts["annotations"]:
        print()
        rows = [
            (name, str(own["annotations"]), _range(own["area"], 0), _range(own["score"], 3))
            for name, own in counts["categories"].items()
            if own["annotations"]
        ]
        print_table(("category", "annotations", "area: 5 %, median, 95 %", "score"), rows)


def _range(values: list[float] | None, digits: int) -> str:
    return "-" if values is None else ", ".join(f"{value:.{digits}f}" for value in values)
