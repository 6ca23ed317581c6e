"""A web server on loopback that lists folders, and can refuse, break off and be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class HttpServer:
    """Serves a folder as `python -m http.server` does.

    Attributes:
        trouble: of a path, the status to answer instead; None for none.
        pages: HTML to answer for paths.
        asked: paths of all requests.
    """

    def __init__(self, folder: Path) -> None:
        self.trouble: Callable[[str], int | None] = lambda _path: None
        self.pages: dict[str, str] = {}
        self.asked: list[str] = []
        own = self

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(folder))

            def send_head(self) -> Any:
                own.asked.append(self.path)
                status = own.trouble(self.path)
                page = own.pages.get(self.path)
                if status is None and page is None:
                    return super().send_head()
                self.send_response(200 if status is None else status)
                self.send_header("Content-Type", "text/html;charset=utf-8")
                self.send_header("Content-Length", str(len((page or "").encode())))
                self.end_headers()
                if page is not None and self.command == "GET":
                    self.wfile.write(page.encode())
                return None

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """No connection is taken any more."""
        self._server.shutdown()
        self._server.server_close()
