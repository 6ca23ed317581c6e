"""What is below an address: all of it, by the names of a folder, or an error."""

from __future__ import annotations

import threading
from pathlib import Path
from urllib.parse import quote

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from hqsam_cli.errors import HqsamError
from hqsam_cli.io.address_folder import AddressFolder
from hqsam_cli.io.find import find_images
from hqsam_cli.io.images import read_header
from hqsam_cli.io.listing import address_below
from hqsam_cli.io.tars import gone_images
from tests.http_server import HttpServer
from tests.io.files import photo
from tests.s3_server import BUCKET, S3Server

NAMES = ("a b.jpg", "a&b.jpg", "it's.jpg", "100%.jpg", "a+b.jpg", "a#b.jpg", "q?x.jpg", "ä.jpg", "a%20b.jpg", "c:d.jpg")
DEEP = ("sub/b c.png", "sub/it's deep/z;y.jpg")
# A line of a listing for each name, as each server writes it.
NGINX = '<a href="{quoted}">{text}</a>   30-Nov-2026 12:00   637\n'
APACHE = '<img src="/icons/image2.gif" alt="[IMG]"> <a href="{half}">{text}</a>   2026-11-30 12:00   637\n'
ABOVE = '<a href="?C=N;O=D">Name</a> <a href="?C=M&amp;O=A">Size</a> <a href="/">Parent</a> <a href="../">../</a>\n'


@pytest.fixture
def www(tmp_path: Path) -> Path:
    for name in (*NAMES, *DEEP):
        path = tmp_path / "www/imgs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo())
    return tmp_path / "www"


def page(line: str, names: tuple[str, ...]) -> str:
    """As nginx or Apache lists; Apache leaves apostrophes, and escapes ampersands for HTML."""
    lines = (
        line.format(quoted=quote(name), half=quote(name, safe="/'&+:;").replace("&", "&amp;"), text=name[:5])
        for name in names
    )
    return f"<html><body>{ABOVE}{''.join(lines)}</body></html>"


@pytest.mark.parametrize("line", [None, NGINX, APACHE])
def test_names_over_http_are_those_of_the_folder(http: HttpServer, www: Path, line: str | None) -> None:
    if line is not None:
        own = tuple(f"./{name}" if ":" in name else name for name in NAMES)
        http.pages = {
            "/imgs/": page(line, (*own, "sub/")),
            "/imgs/sub/": page(line, ("b c.png", "it's deep/")),
            "/imgs/sub/it%27s%20deep/": page(line, ("z;y.jpg",)),
            "/imgs/sub/it's%20deep/": page(line, ("z;y.jpg",)),
        }
    here = [image.file_name for image in find_images([str(www / "imgs")]).images]
    found = find_images([f"{http.address}/imgs"])
    assert [image.file_name for image in found.images] == here and len(here) == len(NAMES) + len(DEEP)
    assert all(read_header(image.file()) == (32, 16, 1) for image in found.images) and not found.broken
    assert f"{http.address}/imgs/it%27s.jpg" in [image.path for image in found.images]
    assert [image.file_name for image in find_images([f"{http.address}/imgs/*/b%20*.png"]).images] == ["sub/b c.png"]
    assert "sub/it's deep/z;y.jpg" in [i.file_name for i in find_images([f"{http.address}/imgs/**/*.jpg"]).images]


def test_a_folder_that_cannot_be_listed_is_named(http: HttpServer, www: Path) -> None:
    http.trouble = lambda path: 403 if "deep" in path else None
    found = find_images([f"{http.address}/imgs"])
    assert len(found.images) == len(NAMES) + 1
    (said,) = found.broken
    assert said.startswith(f"{http.address}/imgs/sub/it%27s%20deep/: cannot be listed (403")
    with pytest.raises(HqsamError, match="deep/: cannot be listed"):
        AddressFolder(f"{http.address}/imgs").names()
    for trouble in (lambda path: 503 if "sub" in path else None, lambda _path: 403):
        http.trouble = trouble
        with pytest.raises(HqsamError, match=r"/imgs(/sub/)?: cannot be listed \((503|403)"):
            find_images([f"{http.address}/imgs"])
    http.trouble = lambda _path: None
    http.stop()
    with pytest.raises(HqsamError, match="/imgs: cannot be listed"):
        find_images([f"{http.address}/imgs"])


def test_a_folder_of_this_machine_is_searched_by_its_address_too(tmp_path: Path) -> None:
    (tmp_path / "imgs/sub").mkdir(parents=True)
    (tmp_path / "imgs/sub/a b%20.jpg").write_bytes(photo())
    (tmp_path / "imgs/sub/up").symlink_to("..")
    (image,) = find_images([f"file://{tmp_path}/imgs"]).images
    assert image.path == f"file://{tmp_path}/imgs/sub/a b%20.jpg" and read_header(image.file()) == (32, 16, 1)


@pytest.mark.parametrize(
    ("address", "name", "below"),
    [
        ("abfss://C@ACC.dfs.core.windows.net/imgs", "s/a b.jpg", "abfss://C@ACC.dfs.core.windows.net/imgs/s/a b.jpg"),
        ("ftp://me@host:2121", "a.jpg", "ftp://me@host:2121/a.jpg"),
        ("sftp://me@host:2222/imgs", "s/a.jpg", "sftp://me@host:2222/imgs/s/a.jpg"),
        ("smb://me@host:445/share/imgs", "a.jpg", "smb://me@host:445/share/imgs/a.jpg"),
        ("hdfs://host:8020/imgs", "a.jpg", "hdfs://host:8020/imgs/a.jpg"),
        ("github://org:repo@main/imgs", "a.jpg", "github://org:repo@main/imgs/a.jpg"),
        ("simplecache::s3://bucket/imgs/", "a.jpg", "simplecache::s3://bucket/imgs/a.jpg"),
        ("zip://::https://host/x.zip", "a.jpg", "zip://a.jpg::https://host/x.zip"),
        ("zip://imgs::https://host/x.zip", "a.jpg", "zip://imgs/a.jpg::https://host/x.zip"),
        ("https://host/imgs", "a b.jpg", "https://host/imgs/a%20b.jpg"),
    ],
)
def test_an_address_keeps_its_host_and_its_account(address: str, name: str, below: str) -> None:
    assert address_below(address, name) == below


def test_an_ftp_server_is_asked_with_its_port_and_says_what_it_refuses(
    www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyftpdlib", reason="there is no FTP server here: pip install pyftpdlib")
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import ThreadedFTPServer

    monkeypatch.setattr("hqsam_cli.io.addresses.RETRY_DELAYS", (0.01,))
    refused: dict[str, str] = {}

    class Handler(FTPHandler):
        authorizer = DummyAuthorizer()

        def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
            answer = refused.get(arg) if cmd in ("LIST", "MLSD") else None
            self.respond(answer) if answer else super().pre_process_command(line, cmd, arg)

    Handler.authorizer.add_user("me", "secret", str(www), perm="elr")
    server, stopped = ThreadedFTPServer(("127.0.0.1", 0), Handler), threading.Event()

    def serve() -> None:
        while not stopped.is_set():  # its loop must not wait on sockets while another thread closes them
            server.serve_forever(0.05, blocking=False, handle_exit=False)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    folder = f"ftp://me:secret@127.0.0.1:{server.address[1]}/imgs"
    found = find_images([folder])
    assert [image.file_name for image in found.images] == [i.file_name for i in find_images([str(www / "imgs")]).images]
    assert found.images[-1].path == f"{folder}/{DEEP[-1]}" and read_header(found.images[-1].file()) == (32, 16, 1)
    assert not gone_images([f"{folder}/a b.jpg"]) and gone_images([f"{folder}/none.jpg"])

    refused["/imgs/sub"] = "550 Permission denied."
    found = find_images([folder])
    assert len(found.images) == len(NAMES) and "secret" not in found.broken[0]
    assert f"{server.address[1]}/imgs/sub: cannot be listed (550 Perm" in found.broken[0]
    assert not gone_images([f"{folder}/sub/none.jpg"]) and gone_images([f"{folder}/none.jpg"])
    refused["/imgs"] = "421 Too many connections."
    with pytest.raises(HqsamError, match=r"imgs: cannot be listed \(421 Too many"):
        find_images([folder])
    assert not gone_images([f"{folder}/none.jpg"])
    stopped.set()
    thread.join()
    server.close_all()
    with pytest.raises(HqsamError, match="imgs: cannot be reached"):
        find_images([folder])
    assert not gone_images([f"{folder}/none.jpg"])


def test_images_of_chained_addresses_are_read(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("imgs/sub/a.png", photo())
    memory.pipe_file("/bucket/x.zip", (tmp_path / "x.zip").read_bytes())
    memory.pipe_file("/bucket/imgs/sub/a.png", photo())
    for address in ("zip://imgs::memory://bucket/x.zip", "simplecache::memory://bucket/imgs"):
        for given in (address, address.replace("imgs", "imgs/*/*.png")):
            (image,) = find_images([given]).images
            assert image.file_name == "sub/a.png" and read_header(image.file()) == (32, 16, 1)
    (image,) = find_images(["zip://::memory://bucket/x.zip"]).images
    assert image.path == "zip://imgs/sub/a.png::memory://bucket/x.zip"


def test_markers_of_folders_are_no_photos(s3: S3Server) -> None:
    system = fsspec.filesystem("s3")
    for key, content in (("imgs/", b""), ("imgs/dir.jpg/", b""), ("imgs/sub/a.png", photo())):
        system.call_s3("put_object", Bucket=BUCKET, Key=key, Body=content)
    for given in ("imgs", "imgs/**/*g", "imgs/*/*g"):
        assert [image.file_name for image in find_images([f"s3://{BUCKET}/{given}"]).images] == ["sub/a.png"]


def test_a_blob_and_a_marker_as_adlfs_lists_them(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe_file("/bucket/imgs/a.png", photo())
    memory.pipe_file("/bucket/imgs/plain", photo())
    memory.mkdir("/bucket/imgs/dir.jpg")
    find = MemoryFileSystem.find

    def find_as_adlfs(self: MemoryFileSystem, path: str, **options: bool) -> object:
        found = find(self, path, **options)
        marker = {"name": f"{path}/dir.jpg", "size": 0, "type": "file"}
        return [path] if path in found else {**found, marker["name"]: marker}

    monkeypatch.setattr(MemoryFileSystem, "find", find_as_adlfs)
    assert [image.file_name for image in find_images(["memory://bucket/imgs"]).images] == ["a.png"]
    assert [image.file_name for image in find_images(["memory://bucket/imgs/plain"]).images] == ["imgs/plain"]
