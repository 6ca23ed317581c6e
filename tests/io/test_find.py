"""Which images are found, and their names."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from hqsam_cli.errors import UsageError
from hqsam_cli.io.find import find_images


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "imgs/b.JPG",
        "imgs/a.png",
        "imgs/a.jpg",
        "imgs/sub/c.webp",
        "imgs/.hidden/d.jpg",
        "imgs/notes.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "imgs/folder.jpg").mkdir()
    (tmp_path / "imgs/folder.jpg/e.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(inputs: list[str], **options: object) -> list[str]:
    return [image.file_name for image in find_images(inputs, **options).images]  # type: ignore[arg-type]


def test_a_folder_is_searched_and_names_are_relative_to_it(tree: Path) -> None:
    expected = ["a.jpg", "a.png", "b.JPG", "folder.jpg/e.png", "sub/c.webp"]
    assert names(["imgs"]) == expected
    assert names([str(tree / "imgs")]) == expected


def test_files_and_globs_are_named_by_their_path(tree: Path) -> None:
    assert names(["imgs/a.jpg", "./imgs/../imgs/b.JPG"]) == ["imgs/a.jpg", "imgs/b.JPG"]
    assert names(["imgs/**/*.png"]) == ["imgs/a.png", "imgs/folder.jpg/e.png"]
    os.chdir("imgs/sub")
    outside = find_images([str(tree / "imgs/a.jpg")]).images[0]
    assert outside.file_name == str(tree / "imgs/a.jpg").lstrip("/")


def test_stdin_by_line_or_by_nul(tree: Path) -> None:
    assert names(["-"], stdin=io.BytesIO(b"imgs/a.jpg\r\nimgs/b.JPG\n\n")) == ["imgs/a.jpg", "imgs/b.JPG"]
    odd = b"imgs/new\nline.jpg\0imgs/\xff.jpg\0"
    assert names(["-"], stdin=io.BytesIO(odd), null_separated=True) == [
        "imgs/new\nline.jpg",
        "imgs/\udcff.jpg",
    ]


def test_a_missing_file_is_kept_for_the_run_to_report(tree: Path) -> None:
    assert names(["imgs/gone.jpg"]) == ["imgs/gone.jpg"]
    assert names(["empty*.jpg"]) == []


def test_the_output_folder_is_not_an_input(tree: Path) -> None:
    assert "sub/c.webp" not in names(["imgs"], exclude=["imgs/sub"])
    assert names(["**/*.webp", "imgs/*/*.webp"], exclude=["imgs/sub"]) == []


def test_an_output_above_the_inputs_hides_none_of_them(tree: Path) -> None:
    for output in (".", "imgs", "imgs/sub"):
        assert names(["imgs/sub"], exclude=[output]) == ["c.webp"]
        assert names(["imgs/sub/*.webp"], exclude=[output]) == ["imgs/sub/c.webp"]


def test_a_folder_that_cannot_be_read_is_not_skipped_in_silence(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert names(["imgs"])[-1] == "sub"
    assert names(["imgs/sub"]) == ["imgs/sub"]


def test_the_same_image_twice_is_one_and_two_of_a_name_are_refused(tree: Path) -> None:
    assert names(["imgs", "imgs"]) == names(["imgs"])
    assert names(["imgs", "imgs/a.jpg", str(tree / "imgs/*.png")]) == names(["imgs"])
    (tree / "more").mkdir()
    (tree / "more/a.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match=r"imgs/a\.jpg and more/a\.jpg"):
        names(["imgs", "more"])


def test_no_name_leads_out_of_the_folder_of_results(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree / "imgs")
    paths = io.BytesIO(b"..\n.\n/\nsub/..\n../imgs\n")
    for image in find_images(["-"], stdin=paths).images:
        assert image.file_name not in ("", ".", "..")
        assert ".." not in image.file_name.split("/")


def test_an_empty_input_and_forgotten_0_are_usage_errors(tree: Path) -> None:
    with pytest.raises(UsageError, match="empty name"):
        names([""])
    with pytest.raises(UsageError, match="pass -0"):
        find_images(["-"], stdin=io.BytesIO(b"imgs/a.jpg\0imgs/b.jpg\0"))


def test_links_to_folders_are_followed_once(tree: Path) -> None:
    (tree / "imgs/sub/loop").symlink_to(tree / "imgs")
    (tree / "more").mkdir()
    (tree / "more/x.jpg").write_bytes(b"")
    (tree / "imgs/linked").symlink_to(tree / "more")
    (tree / "imgs/zz").symlink_to(tree / "more")
    assert [name for name in names(["imgs"]) if "x.jpg" in name or "loop" in name] == ["linked/x.jpg"]
    assert len(names(["imgs"])) == 6


def test_thumbnails_bins_and_outputs_of_runs_are_no_inputs(tree: Path) -> None:
    before = names(["imgs"])
    out = ("@eaDir/a.jpg", "#recycle/a.jpg", "__MACOSX/a.jpg", ".Trash-1000/a.jpg", "._a.jpg", "$RECYCLE.BIN/a.jpg")
    for name in (*out, "run/masks/a.jpg/1.png", "run/journal.ndjson"):
        (tree / "imgs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / "imgs" / name).write_bytes(b"")
    found = find_images(["imgs"])
    assert [image.file_name for image in found.images] == before
    left_out = {os.path.relpath(path, "imgs") for path in found.passed}
    assert {"@eaDir", "#recycle", "__MACOSX", ".Trash-1000", "._a.jpg", "run/masks"} <= left_out
    assert names(["imgs/**/a.jpg"]) == ["imgs/a.jpg"]
    assert "imgs/run/masks/a.jpg/1.png" not in names(["imgs/**/*.png"])
    assert names(["imgs/run/masks/*/*.png"]) == ["imgs/run/masks/a.jpg/1.png"]


def test_a_folder_that_is_an_output_too_gives_its_photos_and_not_its_masks(tree: Path) -> None:
    before = names(["imgs"])
    (tree / "imgs/masks/a.jpg").mkdir(parents=True)
    (tree / "imgs/masks/a.jpg/1.png").write_bytes(b"")
    assert len(names(["imgs"])) == len(before) + 1
    (tree / "imgs/journal.ndjson").write_bytes(b"")
    assert names(["imgs"]) == before


def test_a_run_that_was_downloaded_from_an_address_is_an_output_too(tree: Path) -> None:
    before = names(["imgs"])
    for name in ("masks/a.jpg/1.png", "overlays/a.jpg", "journal/notes.txt"):
        (tree / "imgs/run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / "imgs/run" / name).write_bytes(b"")
    assert len(names(["imgs"])) == len(before) + 2
    (tree / "imgs/run/journal/000000000-000000007.ndjson").write_bytes(b"")
    assert names(["imgs"]) == before
    assert not [name for name in names(["imgs/**/*g"]) if "run" in name]


def test_images_of_kinds_that_are_not_read_are_counted(tree: Path) -> None:
    for name in ("a.psd", "b.CR2", "notes.txt", "new.avif", "new.jfif", "new.jp2"):
        (tree / "imgs" / name).write_bytes(b"")
    found = find_images(["imgs"])
    assert sorted(os.path.basename(path) for path in found.unread) == ["a.psd", "b.CR2"]
    assert {"new.avif", "new.jfif", "new.jp2"} <= {image.file_name for image in found.images}
