"""A hub on loopback that speaks what the hub client asks for, and misbehaves as told."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hqsam_cli.weights.registry import WeightsFile


class LocalHub:
    """Files by `repository/path`, and what goes wrong with them.

    Attributes:
        cuts: bytes after which the next transfers break off, one number a transfer.
        reset: break off with a reset of the connection rather than its orderly end.
        status: answer everything with this instead.
        commit: revision of the files, or None for a server that is no hub.
        transfers: the first byte asked for in each transfer.
        tokens: the authorization of each request.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.reset = False
        self.status: int | None = None
        self.commit: str | None = "0123456789abcdef0123456789abcdef01234567"
        self.transfers: list[int] = []
        self.tokens: list[str | None] = []
        self.url = ""

    def add(self, repository: str, path: str, content: bytes) -> WeightsFile:
        """Serve a file; its entry for the registry."""
        self.files[f"{repository}/{path}"] = content
        return WeightsFile(repository, path, len(content), hashlib.sha256(content).hexdigest())


@contextmanager
def serving() -> Iterator[LocalHub]:
    """A hub that listens until the block ends."""
    hub = LocalHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            hub.tokens.append(self.headers["Authorization"])
            repository, _, path = self.path.lstrip("/").partition("/resolve/main/")
            content = hub.files.get(f"{repository}/{path}")
            status = hub.status or (404 if content is None else None)
            if status is not None or content is None:
                self.send_response(status or 404)
                self.send_header("Content-Length", "0")
                if status == 404:
                    self.send_header("X-Error-Code", "EntryNotFound")
                self.end_headers()
                return
            first = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if first else 200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            if hub.commit is not None:
                self.send_header("X-Repo-Commit", hub.commit)
            self.send_header("Content-Length", str(len(content) - first))
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if body:
                self.send(content, first)

        def send(self, content: bytes, first: int) -> None:
            hub.transfers.append(first)
            if not hub.cuts:
                self.wfile.write(content[first:])
                return
            self.wfile.write(content[first : first + hub.cuts.pop(0)])
            self.close_connection = True
            if hub.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str, cache: str) -> None:
    """Let this process fetch from `url` into `cache`, without the waits between attempts.

    The client reads its variables once, when it is imported, which was long ago.
    """
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", cache)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
