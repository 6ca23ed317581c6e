"""What is in a registry is named where people read of it before it is imported: in the help and the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from typer.main import get_command

from hqsam_cli.batch.detect import DEFAULT_NAMES
from hqsam_cli.cli.app import app
from hqsam_cli.configs import BoxFileFormat
from hqsam_cli.configs.formats import COMMON_PROMPTS
from hqsam_cli.data.sets import DATASETS
from hqsam_cli.evaluation.metrics import METRICS
from hqsam_cli.formats import BOX_WRITERS, WRITERS
from hqsam_cli.formats.image_writer import ImageWriter
from hqsam_cli.prompts.readers import FILE_READERS, JSON_READERS, XML_READERS
from hqsam_cli.weights.registry import ARCHITECTURES, WEIGHTS

DOCS = Path(__file__).parents[1] / "docs"
READER_NAMES = [*JSON_READERS, *XML_READERS, *FILE_READERS]


def option(flag: str, *path: str) -> Any:
    """An option of a command."""
    command: Any = get_command(app)
    for name in path:
        command = command.commands[name]
    return next(parameter for parameter in command.params if flag in parameter.opts)


def test_help_names_every_format_that_is_written() -> None:
    assert option("--format", "segment").metavar.split("|") == list(WRITERS)
    pictures = {name for name, make in WRITERS.items() if isinstance(make, type) and issubclass(make, ImageWriter)}
    converted = option("--format", "results", "convert").metavar.split("|")
    assert sorted(converted) == sorted((WRITERS.keys() - pictures) | BOX_WRITERS.keys())
    assert get_args(BoxFileFormat) == tuple(BOX_WRITERS) == tuple(DEFAULT_NAMES)


def test_help_names_common_formats_that_are_read_and_where_all_are_listed() -> None:
    text = option("--boxes", "segment").help
    assert set(COMMON_PROMPTS) < {*READER_NAMES} and [name for name in COMMON_PROMPTS if name not in text] == []
    assert "docs/formats" in text and len(text) < 250


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("formats/README.md", READER_NAMES),
        ("formats/README.md", [*WRITERS, *BOX_WRITERS]),
        ("evaluate.md", [f"m{name}" for name in METRICS]),
        ("evaluate.md", [f"`{name}`" for name in DATASETS]),
        ("models.md", [f"`{name}`" for name in (*ARCHITECTURES, *WEIGHTS)]),
    ],
    ids=["read", "written", "metrics", "sets", "models"],
)
def test_documentation_names_them(page: str, names: list[str]) -> None:
    text = (DOCS / page).read_text("utf-8")
    assert [name for name in names if name not in text] == []
