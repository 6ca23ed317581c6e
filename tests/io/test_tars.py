"""Images in tars: found, named and read where they are."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import fsspec
import pytest

from hqsam_cli.errors import HqsamError, ImageError, UsageError
from hqsam_cli.io.find import find_images
from hqsam_cli.io.images import read_image
from hqsam_cli.io.tars import gone_images
from tests.io.files import photo, tar_of
from tests.s3_server import BUCKET, S3Server

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
        assert image.file().content == FILES[name]
        assert read_image(image.file()).shape[2] == 3


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
    assert before.file().stamp() != after.file().stamp()
    assert before.file().digest() == after.file().digest()
    path.write_bytes(b"")
    with pytest.raises(ImageError, match="empty"):
        read_image(after.file())


def test_what_is_in_a_tar_is_there_while_the_tar_is_unless_it_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "0.tar").write_bytes(tar_of(FILES))
    (tmp_path / "a.tar").mkdir()
    (tmp_path / "a.tar/1.jpg").write_bytes(b"1")
    member = f"{tmp_path}/0.tar/x/1.jpg"
    assert not gone_images([member, f"{tmp_path}/a.tar/1.jpg"])
    assert gone_images([member], {f"{tmp_path}/0.tar"}) == {member}
    assert len(gone_images([f"{tmp_path}/a.tar/2.jpg", f"{tmp_path}/1.tar/x/1.jpg"])) == 2


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(content))


def test_a_tar_holds_what_tar_would_extract(tmp_path: Path) -> None:
    old, new = photo(8), photo(9)
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        add(tar, "a.png", old)
        add(tar, "a.json", b"[1]")
        add(tar, "x/b.png", old)
        add(tar, "hard.png", type=tarfile.LNKTYPE, linkname="./a.png")
        add(tar, "x/soft.png", type=tarfile.SYMTYPE, linkname="../soft.png")
        add(tar, "soft.png", type=tarfile.SYMTYPE, linkname="a.png")
        add(tar, "nowhere.png", type=tarfile.SYMTYPE, linkname="/etc/a.png")
        add(tar, "round.png", type=tarfile.SYMTYPE, linkname="round.png")
        add(tar, "link.png", type=tarfile.SYMTYPE, linkname="a.png")
    with tarfile.open(tmp_path / "0.tar", "a") as tar:  # as `tar rf` does
        add(tar, "./a.png", new)
        add(tar, "./a.json", b"[2]")
        add(tar, "link.png", old)
    (tmp_path / "0").mkdir()
    subprocess.run(["tar", "xf", "0.tar", "-C", "0"], cwd=tmp_path, check=True)
    found = find_images([str(tmp_path / "0.tar")])
    extracted = {image.file_name: image for image in find_images([str(tmp_path / "0")]).images}
    assert found.beside == {"a.png": b"[2]"}
    assert sorted(image.file_name for image in found.images) == sorted(extracted)
    for image in found.images:
        if image.file_name in ("nowhere.png", "round.png"):
            with pytest.raises(ImageError, match="empty"):
                read_image(image.file())
        else:
            assert image.file().digest() == extracted[image.file_name].file().digest()


@pytest.mark.parametrize("name", ["0.tar.gz", "0.TGZ", "0.tar.zst", "*.tar.xz", "memory://bucket/0.tar.gz", "0.tar"])
def test_a_compressed_tar_is_refused_by_name(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    memory.pipe_file("/bucket/0.tar.gz", gzip.compress(tar_of(FILES)))
    (tmp_path / name.replace("*", "0").rpartition("/")[2]).write_bytes(gzip.compress(tar_of(FILES)))
    with pytest.raises(UsageError, match=r"0\.tar|0\.TGZ|\*\.tar") as refused:
        find_images([name])
    assert str(refused.value) == (
        f"{name}: a compressed tar, which cannot be read in parts; decompress it first (gunzip, bunzip2, unxz, unzstd)"
    )


@contextmanager
def served(folder: Path, handler: type[SimpleHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class WholeFiles(SimpleHTTPRequestHandler):
    """Python's own server, which does not know of parts before 3.15."""

    def log_message(self, *_: object) -> None: ...


class Parts(WholeFiles):
    """The same with parts."""

    def do_GET(self) -> None:
        begin, end = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{min(end, len(content) - 1)}/{len(content)}")
        self.send_header("Content-Length", str(len(content[begin : end + 1])))
        self.end_headers()
        self.wfile.write(content[begin : end + 1])


@pytest.mark.parametrize("padding", [0, 300_000])
def test_a_server_that_sends_whole_files_alone_is_named(tmp_path: Path, padding: int) -> None:
    (tmp_path / "0.tar").write_bytes(tar_of({"a.bin": bytes(padding), "1.png": photo(8)}))
    with served(tmp_path, WholeFiles) as address, pytest.raises(HqsamError) as refused:
        find_images([f"{address}/0.tar"])
    assert str(refused.value) == (f"{address}/0.tar: its server does not send parts of a file; download the tar first")
    with served(tmp_path, Parts) as address:
        (image,) = find_images([f"{address}/0.tar"]).images
        assert image.file().content == photo(8)


def test_an_empty_member_of_a_tar_in_a_bucket_is_empty(s3: S3Server) -> None:
    fsspec.filesystem("s3").pipe_file(f"{BUCKET}/0.tar", tar_of({"1.png": photo(8), "2.png": b""}))
    one, two = find_images([f"s3://{BUCKET}/0.tar"]).images
    assert one.file().content == photo(8) and two.file().content == b""
