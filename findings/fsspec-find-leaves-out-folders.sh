#!/usr/bin/env bash
# fsspec 2026.9.0 (aiohttp 3.14.5, Python 3.11), run 2026-11-30: find() with on_error="raise" raises nothing below the top.
# Expected: walk() documents on_error="raise" as "an underlying exception will be raised", and find() hands it on.
# Seen: asynchronous file systems do not hand it on to the folders below. The files of a folder are left out without an
# error if the server is stopped after the page above it. At the top it does raise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fsspec==2026.9.0 aiohttp==3.14.5
cat > "$folder/ask.py" <<'EOF'
import os
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import fsspec

top = sys.argv[1]
for name in ("photos/1.jpg", "photos/sub/2.jpg"):
    os.makedirs(os.path.dirname(f"{top}/{name}"), exist_ok=True)
    open(f"{top}/{name}", "w").close()


class Stopping(SimpleHTTPRequestHandler):
    last = None

    def do_GET(self):
        if self.path == self.last:
            self.server.shutdown()
            self.server.server_close()
        super().do_GET()

    log_message = lambda *_: None


def find(what):
    try:
        found = [name.removeprefix(url) for name in http.find(url, on_error="raise")]
    except Exception as error:
        found = type(error).__name__
    print(f"{what}: {found}")
    return found


server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Stopping, directory=top))
threading.Thread(target=server.serve_forever, daemon=True).start()
http, url = fsspec.filesystem("http"), f"http://127.0.0.1:{server.server_port}/photos/"
whole = find("all folders answer")
Stopping.last = "/photos/"
below = find("the server is stopped after the page of photos")
above = find("the server is not running")
if (whole, below, above) != (["1.jpg", "sub/2.jpg"], ["1.jpg"], "ClientConnectorError"):
    raise SystemExit("this has changed")
EOF
mkdir "$folder/www"
NO_PROXY=127.0.0.1 "$folder/venv/bin/python" "$folder/ask.py" "$folder/www"
