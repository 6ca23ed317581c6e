"""An S3 server on loopback, moto's, that can be killed, be slow and have too much to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

BUCKET = "bucket"
Trouble = Callable[[str, str], int | None]  # of a method and a path: the status to answer instead, or None


class S3Server:
    """Keeps what is put into it when it is killed and started again.

    Attributes:
        trouble: asked about each request.
        asked: method and path of each request.
    """

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._app = DomainDispatcherApplication(create_backend_app)
        self.trouble: Trouble = lambda _method, _path: None
        self.asked: list[tuple[str, str]] = []
        self.port = 0
        self.start()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.asked.append((method, path))
        status = self.trouble(method, path)
        if status is None:
            answer: Iterable[bytes] = self._app(environ, start_response)
            return answer
        start_response(f"{status} Trouble", [("Content-Length", "0")])
        return [b""]

    @property
    def address(self) -> str:
        """Of the server."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, at the port where it was."""
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            def log(self, *_: object) -> None: ...

        self._server = make_server("127.0.0.1", self.port, self, threaded=True, request_handler=Quiet)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """No connection is taken any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def killed_for(self, seconds: float) -> None:
        """Kill it, and start it again after a while."""
        self.kill()
        threading.Timer(seconds, self.start).start()


def s3_server(monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """A server with an empty bucket, which s3fs finds by the environment."""
    import s3fs
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    from hqsam_cli.batch.object_journal import _copy

    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].reset()
    server = S3Server()
    for name, value in {
        "AWS_ENDPOINT_URL": server.address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    _copy.cache_clear()
    monkeypatch.setattr("hqsam_cli.io.addresses.RETRY_DELAYS", (0.1, 0.2, 0.4, 0.8))
    s3fs.S3FileSystem().mkdir(BUCKET)
    return server


def slow(seconds: float) -> Trouble:
    """Every answer takes so long."""

    def wait(_method: str, _path: str) -> None:
        time.sleep(seconds)

    return wait
