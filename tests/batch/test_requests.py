"""How often servers are asked by runs, and results while one cannot be asked."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import fsspec
import pytest

from hqsam_cli.batch.fingerprint import stamped
from hqsam_cli.batch.status import read_status
from hqsam_cli.batch.steps import Segment
from hqsam_cli.errors import UsageError
from hqsam_cli.io.files import InputFile, Location
from hqsam_cli.io.find import SourceImage
from hqsam_cli.progress import Silent
from tests.batch.boxes_as_masks import BoxPredictor, TwoBoxes, make_job, run, run_job
from tests.batch.remote_images import COUNT, IMAGES, files_of, put
from tests.http_server import HttpServer
from tests.io.files import photo
from tests.s3_server import BUCKET, S3Server


@contextmanager
def http_server(
    files: dict[str, bytes], headers: Callable[[str], dict[str, str]]
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Its address, and the method and the name of each request."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            name = self.path[1:]
            asked.append((self.command, name))
            self.send_response(200)
            for header, value in {"Content-Length": str(len(files[name])), **headers(name)}.items():
                self.send_header(header, value)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(files[self.path[1:]])

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def counted(monkeypatch: pytest.MonkeyPatch, *methods: str) -> list[str]:
    """The paths of the memory file system that are asked for from now on."""
    system, asked = type(fsspec.filesystem("memory")), []
    for method in methods:
        own = getattr(system, method)

        def asking(self: object, path: str, *given: object, _own: Any = own, **named: object) -> Any:
            asked.append(path)
            return _own(self, path, *given, **named)

        monkeypatch.setattr(system, method, asking)
    return asked


def test_a_photo_that_was_put_again_is_fetched_once(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(memory, "/bucket/imgs")
    run("memory://bucket/imgs", tmp_path / "out", identity={})
    put(memory, "/bucket/imgs")
    memory.pipe_file("/bucket/imgs/2.png", photo(70))
    asked = counted(monkeypatch, "cat_file")
    assert run("memory://bucket/imgs", tmp_path / "out", identity={})[0].already_done == COUNT - 1
    assert sorted(set(asked)) == sorted(f"/bucket/imgs/{name}" for name in IMAGES)
    assert len([path for path in asked if not path.endswith("/2.png")]) == COUNT - 1
    asked.clear()
    assert run("memory://bucket/imgs", tmp_path / "out", identity={})[0].already_done == COUNT
    assert asked == []


def test_a_file_that_was_touched_is_read_once(tmp_path: Path, imgs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(imgs, tmp_path / "out")
    for path in imgs.rglob("*.png"):
        os.utime(path, (1, 1))
    assert run(imgs, tmp_path / "out")[0].already_done == COUNT
    monkeypatch.setattr(InputFile, "digest", lambda self: pytest.fail(f"{self.path} is read"))
    assert run(imgs, tmp_path / "out")[0].already_done == COUNT


@pytest.mark.parametrize("mark", ["ETag", "Last-Modified"])
def test_a_photo_over_http_is_asked_for_once(tmp_path: Path, mark: str) -> None:
    marks = dict.fromkeys(IMAGES, "Mon, 30 Nov 2026 10:00:00 GMT")
    each_once = Counter(list(IMAGES))
    four, asks_four = Barrier(4, timeout=9), Event()

    def headers(name: str) -> dict[str, str]:
        if asks_four.is_set():
            four.wait()
        return {mark: marks[name]}

    with http_server(IMAGES, headers) as (address, asked):

        def go_on() -> tuple[int, Counter[str], set[str]]:
            asked.clear()
            images = [SourceImage(f"{address}/{n}", n, Location(f"{address}/{n}")) for n in IMAGES]
            job = replace(make_job(tmp_path, tmp_path / "out", TwoBoxes()), images=stamped(images))
            already = run_job(job, Segment(BoxPredictor(), []), 2, Silent()).already_done
            return already, Counter(name for _, name in asked), {method for method, _ in asked}

        assert go_on()[0] == 0
        asks_four.set()
        assert go_on() == (COUNT, each_once, {"HEAD"})
        asks_four.clear()
        marks["2.png"] = "Mon, 30 Nov 2026 11:00:00 GMT"
        already, times, _ = go_on()
        assert already == COUNT and times["2.png"] > 1 and times["0.png"] == 1
        assert go_on() == (COUNT, each_once, {"HEAD"})


@pytest.mark.parametrize("status", [401, 403, 429, 503, None])
def test_results_stay_while_nobody_can_be_asked(http: HttpServer, tmp_path: Path, status: int | None) -> None:
    (tmp_path / "www/a.png").write_bytes(photo(20))
    (tmp_path / "www/b.png").write_bytes(photo(21))
    out, one = tmp_path / "out", f"{http.address}/a.png"
    run(http.address, out)
    before = files_of(out)
    assert len(before) == 5
    if status is None:
        http.stop()
    else:
        http.trouble = lambda _path: status
    # One of them is not asked for any more, and the other one cannot be downloaded.
    summary, _ = run(one, out)
    assert summary.exit_code == 3 and summary.failed[0].startswith(f"{one}: cannot be downloaded (")
    assert {name: content for name, content in files_of(out).items() if "masks" in name} == {
        name: content for name, content in before.items() if "masks" in name
    }
    listed = json.loads((out / "instances.json").read_text())["images"]
    assert [image["file_name"] for image in listed] == ["a.png", "b.png"]
    if status is not None:
        http.trouble = lambda _path: None
        summary, _ = run(http.address, out)
        assert (summary.exit_code, summary.already_done) == (0, 2) and files_of(out) == before
        http.trouble = lambda path: 404 if path == "/b.png" else None
        run(one, out)
        assert not (out / "masks/b.png").exists() and (out / "masks/a.png").exists()


def test_the_status_of_a_bucket_asks_no_other_bucket(s3: S3Server) -> None:
    asked = len(s3.asked)
    with pytest.raises(UsageError, match=f"s3://{BUCKET}/: not the output of a run"):
        read_status(f"s3://{BUCKET}/")
    assert all(path.startswith(f"/{BUCKET}/") or path == f"/{BUCKET}" for _, path in s3.asked[asked:])
