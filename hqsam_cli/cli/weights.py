"""`hqsam weights`: official weights, and checkpoints as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import HqsamError, NoInputError, UsageError
from .console import print_json, print_table
from .reporter import ConsoleReporter

if TYPE_CHECKING:
    from torch import Tensor

weights = typer.Typer(no_args_is_help=True, help="Download, verify, inspect, merge and convert model weights.")


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Output file: .pth, .pt or .safetensors.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Overwrite an existing file.")]
Layout = Literal["official", "transformers"]
SUFFIXES = (".pth", ".pt", ".safetensors")
STATES = {"here": ("available", "green"), "damaged": ("damaged", "red"), "absent": ("-", "dim")}


@weights.command("list")
def list_weights(as_json: AsJson = False) -> None:
    """List model weights by name, and which of them are available on this machine."""
    from ..weights.hub import inventory

    rows = inventory()
    if as_json:
        print_json(rows)
        return
    cells = []
    for row in rows:
        size = "-" if row["bytes"] is None else f"{row['bytes'] / 1e6:,.0f} MB"
        cells.append((row["name"], row["file"], size, STATES[row["state"]], row["repository"] or "the package"))
    print_table(("name", "file", "size", "status", "source"), cells)


@weights.command()
def pull(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Names of official weights, such as vit_l; see hqsam weights list."),
    ],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Download official weights, replacing damaged files, and print their paths."""
    from ..weights.hub import download
    from ..weights.registry import WEIGHTS

    unknown = [name for name in names if name not in WEIGHTS]
    if unknown:
        raise UsageError("unknown weights", value=unknown[0], remedy=f"choose from {', '.join(WEIGHTS)}")
    reporter = ConsoleReporter(quiet=quiet)
    for name in names:
        typer.echo(download(name, None if quiet else reporter.say, repair=True))


@weights.command()
def verify(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|PATH]...", help="Weights to verify; by default all that are downloaded."),
    ] = None,
) -> None:
    """Verify the SHA-256 of official weights; exit code 1 if any differs."""
    from ..weights.hub import inventory
    from ..weights.registry import WEIGHTS

    names = models or [row["name"] for row in inventory() if row["path"] and row["sha256"]]
    if not names:
        raise NoInputError("no official weights are downloaded", remedy="download some: hqsam weights pull NAME")
    checked = [(name, *_verdict(name)) for name in names]
    print_table(
        ("name", "result", "file"),
        [(name, (verdict, "red" if bad else "green"), str(path)) for name, bad, verdict, path in checked],
    )
    wrong = [name for name, bad, _, _ in checked if bad]
    if wrong:
        known = [name for name in wrong if name in WEIGHTS]
        remedy = (
            f"download again: hqsam weights pull {' '.join(known)}"
            if known
            else "use them only if you trust their source"
        )
        raise HqsamError(f"{len(wrong)} of {len(checked)} are not official weights", remedy=remedy)


def _verdict(model: str) -> tuple[bool, str, Path]:
    """Whether a file differs from the official one, the verdict in words, and its path."""
    from ..weights.hub import file_hash, local_path, mismatch, official_name
    from ..weights.registry import WEIGHTS

    path = local_path(model)
    if model in WEIGHTS:
        problem = mismatch(path, WEIGHTS[model])
        return problem is not None, problem or "official", path
    sha256 = file_hash(path)
    name = official_name(sha256)
    return name is None, f"official {name}" if name else f"SHA-256 {sha256} matches no official file", path


@weights.command()
def info(
    model: Annotated[str, typer.Argument(metavar="NAME|PATH", help="Name of official weights, or a checkpoint.")],
    as_json: AsJson = False,
) -> None:
    """Inspect a checkpoint: architecture, parameters, HQ modules, SHA-256, dtypes, metadata."""
    from ..weights.checkpoints import read_checkpoint
    from ..weights.hub import file_hash, local_path, official_name

    path = local_path(model)
    found = read_checkpoint(path)
    parameters, of_hq = found.parameters
    facts: dict[str, Any] = {
        "path": str(path),
        "kind": found.kind,
        "architecture": found.architecture,
        "official": official_name(file_hash(path)),
        "layout": found.layout,
        "image_size": found.model and found.model.image_size,
        "parameters": parameters,
        "hq_parameters": of_hq,
        "hq_share": round(of_hq / parameters, 6),
        "dtypes": found.dtypes,
        "bytes": path.stat().st_size,
        "sha256": file_hash(path),
        "metadata": found.metadata,
    }
    if as_json:
        print_json(facts)
        return
    facts["parameters"], facts["hq_parameters"] = f"{parameters:,}", f"{of_hq:,}"
    facts["hq_share"], facts["bytes"] = f"{of_hq / parameters:.2%}", f"{facts['bytes']:,}"
    facts["dtypes"] = ", ".join(found.dtypes)
    facts["metadata"] = ", ".join(f"{key}={value}" for key, value in sorted(found.metadata.items()))
    print_table((), [(key.replace("_", " "), str(value or "-")) for key, value in facts.items()])


@weights.command()
def merge(
    sam: Annotated[str, typer.Argument(metavar="SAM", help="SAM weights, by name or path.")],
    hq_only: Annotated[
        Path,
        typer.Argument(
            metavar="HQ_ONLY", help="HQ modules trained on this SAM, or a decoder from the authors' training code."
        ),
    ],
    output: Output,
    overwrite: Overwrite = False,
) -> None:
    """Merge SAM weights and HQ modules into one HQ-SAM checkpoint.

    Existing HQ modules in SAM are replaced.
    """
    from ..weights.checkpoints import merge_checkpoint
    from ..weights.hub import find_checkpoint

    _check_new(output, overwrite)
    reporter = ConsoleReporter()
    merged = merge_checkpoint(find_checkpoint(sam, reporter.say), hq_only)
    _write(output, merged.state, merged.metadata)
    reporter.say(f"wrote {output}", "green")


@weights.command()
def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN", help="Name of official weights, .pth or .safetensors file, or transformers folder."
        ),
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Output file (.pth, .pt or .safetensors), or folder for transformers.")
    ],
    layout: Annotated[
        Layout | None, typer.Option(help="Naming of the tensors; transformers for a folder, else official.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Convert to float16, which halves the size.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Convert a checkpoint between .pth, .safetensors and transformers.

    The layout of IN is detected from its tensors. A folder gets model.safetensors and config.json, for
    SamHQModel.from_pretrained.
    """
    from ..io.atomic import write_file, writing
    from ..weights.checkpoints import read_checkpoint
    from ..weights.conversion import transformers_config, transformers_state
    from ..weights.hub import TRANSFORMERS_FILE, find_checkpoint

    is_folder = output.is_dir() or not output.suffix
    if is_folder and layout == "official":
        remedy = "pass a .pth or .safetensors file"
        raise UsageError("a folder is for the transformers layout only", file=output, remedy=remedy)
    file = output / TRANSFORMERS_FILE if is_folder else output
    _check_new(file, overwrite)
    if is_folder:
        _check_new(output / "config.json", overwrite, (".json",))
    reporter = ConsoleReporter()
    found = read_checkpoint(find_checkpoint(source, reporter.say))
    state = {key: x.half() if half and x.is_floating_point() else x for key, x in found.state.items()}
    if is_folder or layout == "transformers":
        if found.model is None:
            raise UsageError(
                "HQ modules without SAM weights", file=source, remedy="merge them first: hqsam weights merge"
            )
        state = transformers_state(state, found.architecture)
    _write(file, state, found.metadata)
    reporter.say(f"wrote {file}", "green")
    if is_folder:
        config = transformers_config(found.architecture, has_hq=found.kind == "HQ-SAM")
        path = output / "config.json"
        with writing(path):
            write_file(path, json.dumps(config, indent=2).encode() + b"\n")
        reporter.say(f"wrote {path}", "green")


def _check_new(path: Path, overwrite: bool, suffixes: Sequence[str] = SUFFIXES) -> None:
    if path.suffix not in suffixes:
        raise UsageError("unknown file format", file=path, remedy=f"use one of the suffixes {', '.join(suffixes)}")
    if path.is_file() and not overwrite:
        raise UsageError("already exists", file=path, remedy="pass --overwrite to replace it, or choose another file")


def _write(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    from ..io.atomic import atomic_file, writing
    from ..weights.checkpoints import write_checkpoint

    with writing(path), atomic_file(path) as file:
        write_checkpoint(file, state, metadata, safetensors=path.suffix == ".safetensors")
