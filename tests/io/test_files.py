"""Files at addresses: found, named, fetched, and waited for."""

from __future__ import annotations

import io
import os
from pathlib import Path

import fsspec
import numpy as np
import pytest

from hqsam_cli.errors import HqsamError, ImageError, UsageError
from hqsam_cli.io.address_folder import AddressFolder
from hqsam_cli.io.addresses import UNKNOWN, file_system
from hqsam_cli.io.files import Location, RemoteFile, input_file, read_bytes
from hqsam_cli.io.find import find_images
from hqsam_cli.io.images import read_header, read_image
from hqsam_cli.io.tars import gone_images
from tests.http_server import HttpServer
from tests.io.files import photo
from tests.s3_server import BUCKET, S3Server, slow


def is_there(path: str) -> bool:
    return not gone_images([path])


def names(*inputs: str) -> list[str]:
    return [image.file_name for image in find_images(list(inputs)).images]


def test_images_below_an_address_are_those_of_a_folder(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    found = ["b.jpg", "a/z.png", "a.JPG", "a/b/c d%20.webp", "notes.txt", ".hidden/x.jpg", "@eaDir/y.jpg", "raw.cr2"]
    for name in (*found, "run/journal.ndjson", "run/masks/a.jpg/1.png", "run/b.jpg"):
        memory.pipe_file(f"/bucket/imgs/{name}", b"x")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    here, there = find_images([str(tmp_path)]), find_images(["memory://bucket/imgs"])
    assert [image.file_name for image in there.images] == [image.file_name for image in here.images]
    assert "a/b/c d%20.webp" in names("memory://bucket/imgs/") and "run/b.jpg" in names("memory://bucket/imgs")
    assert len(there.unread) == 1 and len(there.passed) == 3
    assert names("memory://bucket/imgs/a/*.png") == ["z.png"]
    assert names("memory://bucket/imgs/**/*.webp") == ["a/b/c d%20.webp"]
    excluded = find_images(["memory://bucket/imgs"], exclude=["memory:///bucket/imgs/a"]).images
    assert "a/z.png" not in [image.file_name for image in excluded]


def test_one_image_is_named_by_its_path_without_the_host(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/bucket/imgs/a.jpg", photo(kind="JPEG"))
    memory.pipe_file("/bucket/imgs/plain", photo())
    assert names("memory://bucket/imgs/a.jpg", "memory://bucket/imgs/plain") == ["imgs/a.jpg", "imgs/plain"]
    assert names("https://host/x/../a%20b.jpg?width=9") == ["a b.jpg"]
    from_stdin = find_images(["-"], stdin=io.BytesIO(b"memory://bucket/imgs/a.jpg\n")).images
    assert [image.file_name for image in from_stdin] == ["imgs/a.jpg"]


def test_brackets_may_be_of_a_name(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/bucket/imgs [2]/a[1].jpg", photo())
    assert names("memory://bucket/imgs [2]") == ["a[1].jpg"]
    assert read_image(find_images(["memory://bucket/imgs [2]"]).images[0].file()).shape == (16, 32, 3)


def test_objects_of_one_name_are_refused(memory: fsspec.AbstractFileSystem) -> None:
    for folder in "xy":
        memory.pipe_file(f"/bucket/{folder}/a.jpg", b"")
    with pytest.raises(UsageError, match=r"would both be called a\.jpg"):
        find_images(["memory://bucket/x", "memory://bucket/y"])
    memory.pipe_file("/bucket/x//a.jpg", b"")
    with pytest.raises(UsageError, match=r"x//a\.jpg and .*x/a\.jpg would both be called a\.jpg"):
        find_images(["memory://bucket/x"])


def test_an_object_is_read_as_a_file_is(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    for kind, exif in (("JPEG", 6), ("PNG", None), ("TIFF", None)):
        content = photo(kind=kind, exif=exif)
        (tmp_path / "a").write_bytes(content)
        memory.pipe_file("/bucket/a", content)
        (image,) = find_images(["memory://bucket/a"]).images
        here, there = input_file(str(tmp_path / "a")), image.file()
        assert read_header(there) == read_header(here) == (32, 16, exif or 1)
        assert np.array_equal(read_image(there), read_image(here))
        assert there.digest() == here.digest()
        assert np.array_equal(read_image("memory://bucket/a"), read_image(here))


def test_a_stamp_changes_with_the_object(memory: fsspec.AbstractFileSystem) -> None:
    def stamp() -> str:
        return find_images(["memory://bucket/x"]).images[0].file().stamp()

    memory.pipe_file("/bucket/x/a.jpg", b"one")
    first = stamp()
    assert first == stamp() != UNKNOWN
    memory.pipe_file("/bucket/x/a.jpg", b"two")
    assert stamp() != first


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("memory://bucket/gone.jpg", "no such file; check the path"),
        ("memory://bucket/empty.jpg", "the file is empty"),
        ("memory://bucket/broken.jpg", "not an image that can be read"),
    ],
)
def test_what_is_wrong_with_an_object_is_one_sentence(
    memory: fsspec.AbstractFileSystem, address: str, said: str
) -> None:
    memory.pipe_file("/bucket/empty.jpg", b"")
    memory.pipe_file("/bucket/broken.jpg", b"broken")
    with pytest.raises(ImageError, match=said) as caught:
        read_image(address)
    assert str(caught.value).startswith(address)


@pytest.mark.parametrize("address", ["nobody://knows/a", "sftp://host/a"])
def test_an_address_that_needs_more_says_what(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "paramiko", None)
    with pytest.raises(HqsamError, match=r"no address that fsspec knows|pip install 'hqsam-cli\[cloud\]'"):
        find_images([address])
    with pytest.raises(HqsamError):
        read_bytes(address)


def test_a_server_that_comes_back_is_waited_for(s3: S3Server) -> None:
    content = photo()
    fsspec.filesystem("s3").pipe_file(f"{BUCKET}/imgs/a b.png", content)
    (image,) = find_images([f"s3://{BUCKET}/imgs"]).images
    assert image.file_name == "a b.png" and image.path == f"s3://{BUCKET}/imgs/a b.png"
    s3.killed_for(0.4)
    assert image.file().content == content
    answers = iter([503, 500, 429])
    s3.trouble = lambda _method, _path: next(answers, None)
    assert image.file().content == content
    s3.trouble = slow(0.3)
    assert read_bytes(f"s3://{BUCKET}/imgs/a b.png") == content


def test_a_server_that_stays_away_is_named(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hqsam_cli.io.addresses.RETRY_DELAYS", (0.01, 0.01))
    s3.trouble = lambda _method, _path: 503
    place = input_file(f"s3://{BUCKET}/a.png")
    with pytest.raises(ImageError, match=r"s3://bucket/a\.png: cannot be fetched \(.*Unavailable.*\); the same"):
        _ = place.content
    asked = len(s3.asked)
    with pytest.raises(ImageError):
        _ = place.content
    assert len(s3.asked) == asked  # waited for once
    with pytest.raises(HqsamError, match="cannot be listed"):
        find_images([f"s3://{BUCKET}/imgs"])


def test_a_server_that_takes_too_long_is_not_asked_again(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hqsam_cli.io.addresses.RETRY_TIMEOUT", -1.0)
    s3.trouble = lambda _method, _path: 503
    before = len(s3.asked)
    with pytest.raises(ImageError, match="cannot be fetched"):
        _ = input_file(f"s3://{BUCKET}/a.png").content
    assert len(s3.asked) == before + 1


def test_an_object_is_fetched_with_one_request(s3: S3Server) -> None:
    fsspec.filesystem("s3").pipe_file(f"{BUCKET}/a.png", photo())
    before = len(s3.asked)
    assert read_bytes(f"s3://{BUCKET}/a.png") == photo() and AddressFolder(f"s3://{BUCKET}").read(["a.png"]) == [
        photo()
    ]
    assert [method for method, _ in s3.asked[before:]] == ["GET", "GET"]


def test_a_photo_that_stays_away_is_waited_for_once(
    http: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    http.trouble = lambda _path: 503
    address = f"{http.address}/a.png"
    for read in (RemoteFile.stamp, RemoteFile.digest, read_image, RemoteFile.stamp):
        with pytest.raises(ImageError, match="cannot be fetched"):
            read(RemoteFile(address, Location(address)))
    assert waits == [0.01, 0.01]
    http.trouble = lambda _path: None
    (tmp_path / "www/a.png").write_bytes(photo())
    assert read_image(address).shape == (16, 32, 3)


def test_a_server_that_does_not_answer_is_asked_for_one_photo(http: HttpServer, s3: S3Server) -> None:
    http.trouble = lambda path: 503 if "0" in path else None
    photos = [f"{http.address}/{n}.jpg" for n in (1, 0, 2, 3)]
    assert gone_images([*photos, f"s3://{BUCKET}/4.jpg"]) == {photos[0], f"s3://{BUCKET}/4.jpg"}
    assert {path[1] for path in http.asked} == {"0", "1"}
    http.trouble = lambda path: 403 if "0" in path else None  # a refusal is an answer
    assert gone_images(photos) == set(photos) - {photos[1]}


def test_what_will_not_pass_is_asked_for_once(s3: S3Server) -> None:
    s3.trouble = lambda _method, _path: 403
    before = len(s3.asked)
    with pytest.raises(ImageError, match="cannot be fetched"):
        _ = input_file(f"s3://{BUCKET}/a.png").content
    assert len(s3.asked) == before + 1


@pytest.mark.parametrize(
    ("status", "there"), [(401, True), (403, True), (429, True), (500, True), (503, True), (404, False), (410, False)]
)
def test_only_not_found_and_gone_say_that_a_photo_is_gone(http: HttpServer, status: int, there: bool) -> None:
    http.trouble = lambda _path: status
    assert is_there(f"{http.address}/a.jpg") is there


def test_who_cannot_be_asked_has_not_said_no(
    http: HttpServer, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = HttpServer(tmp_path)
    stopped.stop()
    assert is_there(f"{stopped.address}/a.jpg") and not is_there(f"{http.address}/a.jpg")
    assert not is_there(f"s3://{BUCKET}/a.jpg")
    statuses = iter((401, 403, 429, 500, 503))
    s3.trouble = lambda _method, _path: next(statuses, None)
    for _ in range(5):
        assert is_there(f"s3://{BUCKET}/a.jpg")
    assert not is_there(f"s3://{BUCKET}/a.jpg")
    assert not is_there(str(tmp_path / "a.jpg")) and is_there(str(tmp_path))

    def stale(_path: str) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr("os.lstat", stale)
    assert is_there("/mnt/photos/a.jpg")


def test_a_photo_that_cannot_be_asked_for_is_not_one_that_is_not_there(http: HttpServer) -> None:
    http.trouble = lambda _path: 503
    with pytest.raises(ImageError, match="cannot be fetched \\(503"):
        input_file(f"{http.address}/a.jpg").stamp()
    http.trouble = lambda _path: 404
    with pytest.raises(ImageError, match="no such file"):
        input_file(f"{http.address}/a.jpg").stamp()


def test_gcsfs_is_not_asked_for_what_it_complains_about_unless_somebody_wants_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"
    for given, then in ((None, "false"), ("true", "true")):
        monkeypatch.setenv(name, given or "")
        if given is None:
            monkeypatch.delenv(name)
        file_system("memory://bucket/a")
        assert os.environ[name] == then
