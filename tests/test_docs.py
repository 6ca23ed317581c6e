"""The documentation against the commands and the files it speaks of."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from hqsam_cli.cli.app import app
from hqsam_cli.recipes import cli_reference

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_LINES = 150


def shell_lines(text: str) -> list[str]:
    """Lines of code blocks, continued ones joined, without the blocks of other languages."""
    blocks = (block for language, block in FENCE.findall(text) if language in ("", "sh", "bash", "console"))
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def inline_commands(text: str) -> list[str]:
    """Commands in the midst of a sentence or of a table."""
    prose = re.sub(r"^Usage: .*$", "", FENCE.sub("", text), flags=re.MULTILINE)
    return [" ".join(code.replace("\\|", "|").split()) for code in re.findall(r"`(hqsam\s[^`]+)`", prose)]


def hqsam_arguments(line: str) -> Iterator[list[str]]:
    """The arguments of each `hqsam` of a shell line: of a pipe, behind `torchrun` or `xargs`, or in a quoted script."""
    if not re.search(r"(^|[\s'\"])hqsam\s", line):
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command: list[str] = []
    for token in [*lexer, ";"]:
        if not set(token) <= set("();<>|&"):
            command.append(token)
            if " " in token:
                yield from hqsam_arguments(token)
            continue
        if "hqsam" in command:
            yield command[command.index("hqsam") + 1 :]
        command = []


def problem(arguments: list[str], *, complete: bool) -> str | None:
    """What is wrong with the arguments of `hqsam`; `complete` ones are parsed as the command would, and not run."""
    command: Any = get_command(app)
    rest = list(arguments)
    while True:
        known = {"-h", "--help", *(flag for p in command.params for flag in (*p.opts, *p.secondary_opts))}
        commands = getattr(command, "commands", None)
        own = rest if commands is None else list(takewhile(lambda word: word.startswith("-"), rest))
        for word in own:
            if re.match(r"--?\w", word) and word.partition("=")[0] not in known:
                return f"no option {word}"
        if commands is None:
            break
        rest = rest[len(own) :]
        if not rest:
            return None
        if rest[0] not in commands:
            return f"no command {rest[0]}"
        command = commands[rest.pop(0)]
    if complete:
        try:
            command.make_context("hqsam", rest)
        except Exception as error:
            return str(error)
    return None


def page_problems(text: str) -> list[str]:
    """Each command of a page that the command line would refuse."""
    found = [(arguments, True) for line in shell_lines(text) for arguments in hqsam_arguments(line)]
    found += [(arguments, False) for code in inline_commands(text) for arguments in hqsam_arguments(code)]
    reasons = [(arguments, problem(arguments, complete=complete)) for arguments, complete in found]
    return [f"hqsam {shlex.join(arguments)}: {reason}" for arguments, reason in reasons if reason is not None]


def anchors(text: str) -> set[str]:
    """What a link may have behind `#`, as code hosts make it of headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading of one."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text("utf-8"))):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if re.match(r"\w+:", link):
            continue
        if not target.is_file() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            broken.append(link)
    return broken


def all_commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """A command and its subcommands by the words that call them."""
    yield path, command
    for name, own in getattr(command, "commands", {}).items():
        yield from all_commands(own, f"{path} {name}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documented_commands_are_ones_that_the_command_line_takes(page: Path) -> None:
    assert page_problems(page.read_text("utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_the_readme_is_short_and_has_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert sum(1 for line in shell_lines(text) for _ in hqsam_arguments(line)) >= 5


def test_the_reference_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cli_reference", "--check"])
    cli_reference.main()


def test_the_reference_has_every_command_and_option() -> None:
    parts = cli_reference.reference().split("\n## ")
    sections = {title: body for title, _, body in (part.partition("\n") for part in parts)}
    for path, command in all_commands(get_command(app), "hqsam"):
        for parameter in command.params:
            for name in parameter.opts if parameter.param_type_name == "option" else [parameter.metavar]:
                assert f"`{name}`".replace("|", "\\|") in sections[path], f"{path}: {name}"


def test_a_stale_reference_is_refused_and_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "cli.md"
    stale.write_text(cli_reference.reference().replace("--max-pixels", "--most-pixels"), "utf-8")
    monkeypatch.setattr(cli_reference, "PATH", stale)
    monkeypatch.setattr(sys, "argv", ["cli_reference", "--check"])
    with pytest.raises(SystemExit, match="run python -m"):
        cli_reference.main()
    assert "--most-pixels" in stale.read_text("utf-8")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hqsam info  # a comment with hqsam info --jsn in it", [["info"]]),
        ("find . | hqsam detect - | hqsam segment . --boxes -", [["detect", "-"], ["segment", ".", "--boxes", "-"]]),
        ("ls p.* | xargs sh -c 'hqsam segment - -o out/{} < {}'", [["segment", "-", "-o", "out/{}"]]),
        ("torchrun --no-python hqsam train --data x && hqsam info", [["train", "--data", "x"], ["info"]]),
        ("python -m hqsam_cli.recipes.cli_reference --check", []),
    ],
)
def test_commands_are_found_wherever_they_stand(line: str, expected: list[list[str]]) -> None:
    assert list(hqsam_arguments(line)) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("```sh\nhqsam segmet ./imgs\n```\n", "no command segmet"),
        ("```sh\nfind . | hqsam segment - --boxs dets.json\n```\n", "no option --boxs"),
        ("```sh\nhqsam segment . \\\n    --boxs dets.json\n```\n", "no option --boxs"),
        ("```sh\nhqsam detect . --conf two\n```\n", "two"),
        ("```sh\nhqsam segment . --exif turn\n```\n", "turn"),
        ("```sh\nhqsam segment --salient\n```\n", "inputs"),
        ("```sh\nhqsam --quiet segment . --salient\n```\n", "no option --quiet"),
        ("Run `hqsam weights\nfetch`.\n", "no command fetch"),
        ("Run `hqsam eval --datset FOLDER`.\n", "no option --datset"),
    ],
)
def test_a_wrong_command_is_seen(page: str, expected: str) -> None:
    (found,) = page_problems(page)
    assert expected in found


def test_commands_that_are_right_are_let_through() -> None:
    assert page_problems("```sh\nhqsam --version\nhqsam segment . --format=png -o out\n```\n") == []
    assert page_problems("See `hqsam weights list`, `hqsam segment --boxes` and `hqsam --help`.\n") == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A heading, in code: `x`\n")
    page = tmp_path / "page.md"
    sound = ["other.md", "other.md#a-heading-in-code-x", "https://arxiv.org/abs/2306.01567", "#here"]
    page.write_text("# Here\n" + " ".join(f"[text]({link})" for link in [*sound, "none.md", "other.md#no"]))
    assert broken_links(page) == ["none.md", "other.md#no"]
