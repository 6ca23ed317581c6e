"""Names that are the same file, however they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hqsam_cli.io.find import SourceImage
from hqsam_cli.prompts.match import Matches, match_images
from hqsam_cli.prompts.prompt_file import FileImage, NameKind, PromptFile


def match(written: list[str], names: list[str], root: str = "/data/imgs", **more: Any) -> Matches:
    kind: NameKind = more.get("kind", "name")
    images: dict[int | str, FileImage] = {n: FileImage(n, name, kind) for n, name in enumerate(written)}
    file = PromptFile("/data/labels/dets.json", "box", images)
    return match_images(file, [SourceImage(f"{root}/{name}", name) for name in names])


@pytest.mark.parametrize(
    "written",
    [
        "imgs\\sub\\a b.jpg",
        ".\\sub\\a b.jpg",
        "C:\\Users\\me\\imgs\\sub\\a b.jpg",
        "\\\\server\\share\\sub\\a b.jpg",
        "..\\imgs\\sub\\a b.jpg",
        "../imgs/sub/a b.jpg",
        "/data/imgs/sub/a b.jpg",
        "/home/somebody/sub/a b.jpg",
        "x/../sub/a b.jpg",
        "sub/a%20b.jpg",
        "https://host/bucket/sub/a%20b.jpg?width=9#top",
        "s3://bucket/sub/a b.jpg",
        "file:///data/imgs/sub/a%20b.jpg",
        "SUB/A B.JPG",
    ],
)
def test_ways_to_write_a_name(written: str) -> None:
    matches = match([written], ["other.jpg", "sub/a b.jpg"])
    assert matches == Matches({0: "sub/a b.jpg"})


def test_unicode_in_either_form() -> None:
    composed, decomposed = "caf\u00e9.jpg", "cafe\u0301.jpg"
    assert match([composed], [decomposed]).names == {0: decomposed}
    assert match([decomposed], [composed]).names == {0: composed}
    assert match([composed, decomposed], [decomposed, composed]).names == {0: composed, 1: decomposed}


def test_letter_case_only_where_it_is_of_one_file() -> None:
    assert match(["A.jpg"], ["a.jpg", "A.jpg"]).names == {0: "A.jpg"}
    several = match(["A.JPG"], ["a.jpg", "A.jpg"])
    assert several.names == {} and "A.JPG could be any of a.jpg, A.jpg" in several.ambiguous[0]


def test_names_that_hold_what_others_use_as_signs() -> None:
    names = ["a%20b.jpg", "c\\d.jpg", "x/100%.jpg"]
    assert match(names, names).names == dict(enumerate(names))


@pytest.mark.parametrize("written", ["../up.jpg", "a/../../up.jpg", "..\\up.jpg", "../../etc/up.jpg", "up.jpg\0"])
def test_a_name_that_leads_out_of_the_folder_is_no_image_in_it(written: str) -> None:
    matches = match([written, "other.jpg"], ["up.jpg", "other.jpg"])
    assert matches.names == {1: "other.jpg"}
    (text,) = matches.outside
    assert repr(written) in text and "\n" not in text


def test_a_name_from_the_root_that_is_of_no_image_matches_nothing() -> None:
    assert match(["/etc/passwd", "C:\\..\\..\\b.jpg"], ["a.jpg", "x/c.jpg"]) == Matches()


@pytest.mark.parametrize(
    ("label", "name"), [("train/a", "a.jpg"), ("a", "images/train/a.jpg"), ("a.jpg", "a.jpg"), ("A", "a.JPG")]
)
def test_labels_match_by_their_path_whatever_the_suffix(label: str, name: str) -> None:
    assert match([label], [name, "b.jpg"], kind="path_stem").names == {0: name}


def test_folders_matter_where_they_tell_images_apart(tmp_path: Path) -> None:
    matches = match(["train\\a.jpg", "VAL/a.jpg"], ["train/a.jpg", "val/a.jpg"])
    assert matches.names == {0: "train/a.jpg", 1: "val/a.jpg"}


def test_one_image_written_in_several_ways() -> None:
    names = match(["imgs/a.jpg", "imgs\\a.jpg", "./imgs/a.jpg"], ["imgs/a.jpg", "b.jpg"]).names
    assert names == dict.fromkeys(range(3), "imgs/a.jpg")


@pytest.mark.parametrize("written", ["C:a.jpg", "a.jpg ", "a.jpg\n"])
def test_careless_names(written: str) -> None:
    assert match([written], ["a.jpg"]).names == {0: "a.jpg"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["x.jpg"], {0: "a/x.jpg"}),  # as they are listed now
        (["sub/x.jpg", "x.jpg"], {0: "a/sub/x.jpg", 1: "a/x.jpg"}),
        (["a/x.jpg", "a/sub/x.jpg", "b/x.jpg"], {0: "a/x.jpg", 1: "a/sub/x.jpg"}),  # as in earlier results
        (["sub/x.jpg", "a/sub/x.jpg"], {1: "a/sub/x.jpg"}),
    ],
)
def test_names_of_earlier_results_and_of_the_inputs(written: list[str], expected: dict[int, str]) -> None:
    file = PromptFile("/data/dets.json", "box", {n: FileImage(n, name) for n, name in enumerate(written)})
    listed = [SourceImage(f"/data/imgs/a/{name}", f"a/{name}", listed=name) for name in ("x.jpg", "sub/x.jpg")]
    assert match_images(file, listed).names == expected
