"""Images in tars: found, named and read where they are."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from hqsam_cli.errors import ImageError
from hqsam_cli.io.find import find_images
from hqsam_cli.io.images import read_image
from hqsam_cli.io.tars import is_image_gone
from tests.io.files import photo, tar_of

FILES = {
    "x/1.png": photo(8),
    "x/1.json": b'[{"bbox": [1, 2, 3, 4]}]',
    "x/1.mask.png": photo(9),
    "./x/photo.v2.png": photo(10),
    "../../2.jpg": photo(11, "JPEG"),
    "._3.jpg": b"of a Mac",
    "4.cr2": b"raw",
    "notes.txt": b"",
}


@pytest.mark.parametrize("remote", [False, True])
def test_images_of_a_tar_are_those_of_a_folder(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0.tar").write_bytes(tar_of(FILES))
    memory.pipe_file("/bucket/0.tar", tar_of(FILES))
    path = "memory://bucket/0.tar" if remote else "0.tar"
    found = find_images([path])
    assert [image.file_name for image in found.images] == ["x/1.png", "x/photo.v2.png", "2.jpg"]
    assert found.images[0].path == f"{path}/x/1.png"
    assert found.beside == {"x/1.png": FILES["x/1.json"]}
    assert len(found.passed) == 2 and len(found.unread) == 1 and not found.broken
    for image, name in zip(found.images, ("x/1.png", "./x/photo.v2.png", "../../2.jpg"), strict=True):
        with image.place().open() as file:
            assert file.read() == FILES[name]
        assert read_image(image.place()).shape[2] == 3


def test_tars_that_a_glob_means_are_folders_of_their_names(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shards").mkdir()
    for number in range(2):
        (tmp_path / f"shards/{number}.tar").write_bytes(tar_of(FILES))
        memory.pipe_file(f"/bucket/shards/{number}.tar", tar_of(FILES))
    own = ["x/1.png", "x/photo.v2.png", "2.jpg"]
    here = [image.file_name for image in find_images(["shards/*.tar"]).images]
    assert here == [f"shards/{number}.tar/{name}" for number in range(2) for name in own]
    there = [image.file_name for image in find_images(["memory://bucket/shards/*.tar"]).images]
    assert there == [f"{number}.tar/{name}" for number in range(2) for name in own]
    assert not find_images(["shards"]).images  # unless it is named, a tar is no input


@pytest.mark.parametrize(("cut", "left"), [(-1, 2), (1200, 1), (100, 0)])
def test_a_broken_tar_is_named_and_what_is_whole_in_it_is_read(tmp_path: Path, cut: int, left: int) -> None:
    files = {"1.png": photo(64), "2.png": photo(8)}
    content = tar_of(files)
    if cut < 0:
        end = content.rindex(files["2.png"]) // 512 * 512 + 512
        content = content[:end] + b"garbage where a header should be" * 100
    else:
        content = content[:cut]
    (tmp_path / "0.tar").write_bytes(content)
    found = find_images([str(tmp_path / "0.tar")])
    assert len(found.images) == left
    assert len(found.broken) == 1 and f"{tmp_path}/0.tar: broken tar" in found.broken[0]


def test_a_tar_that_grew_since_is_read_where_its_images_are(tmp_path: Path) -> None:
    path = tmp_path / "0.tar"
    path.write_bytes(tar_of({"1.png": photo(8)}))
    (before,) = find_images([str(path)]).images
    path.write_bytes(tar_of({"1.png": photo(8), "2.png": photo(9)}))
    after, _ = find_images([str(path)]).images
    assert before.place().stamp() != after.place().stamp()
    assert before.place().digest() == after.place().digest()
    path.write_bytes(b"")
    with pytest.raises(ImageError, match="empty"):
        read_image(after.place())


def test_what_is_in_a_tar_is_there_while_the_tar_is_unless_it_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "0.tar").write_bytes(tar_of(FILES))
    (tmp_path / "a.tar").mkdir()
    (tmp_path / "a.tar/1.jpg").write_bytes(b"1")
    member = f"{tmp_path}/0.tar/x/1.jpg"
    assert not is_image_gone(member) and not is_image_gone(f"{tmp_path}/a.tar/1.jpg")
    assert is_image_gone(member, {f"{tmp_path}/0.tar"})
    assert is_image_gone(f"{tmp_path}/a.tar/2.jpg") and is_image_gone(f"{tmp_path}/1.tar/x/1.jpg")
