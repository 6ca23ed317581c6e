#!/usr/bin/env bash
# fsspec 2026.9.0 (aiohttp 3.14.5, Python 3.11), run 2026-11-30: over HTTP a server that cannot answer has no files.
# Expected: exists() raises, or is true, and info() says which status came, where a server answers 401, 429 or 503, or is
# not running; only 404 and 410 say that there is no file. s3fs raises for all of these.
# Seen: exists() is False each time, and info() raises FileNotFoundError; the status is in its __cause__ alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fsspec==2026.9.0 aiohttp==3.14.5
cat > "$folder/ask.py" <<'EOF'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import fsspec


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(int(self.path.strip("/")))

    do_HEAD = do_GET
    log_message = lambda *_: None


server = HTTPServer(("127.0.0.1", 0), Refusing)
threading.Thread(target=server.serve_forever, daemon=True).start()
http, host = fsspec.filesystem("http"), f"http://127.0.0.1:{server.server_port}"


def ask(what, url):
    try:
        http.info(url)
        said = "info"
    except Exception as error:
        said = type(error).__name__
    exists = http.exists(url)
    print(f"{what}: exists() is {exists}, info() raises {said}")
    return exists, said


seen = [ask(status, f"{host}/{status}") for status in (401, 429, 503)]
server.shutdown()
server.server_close()
seen.append(ask("no server", f"{host}/503"))
if set(seen) != {(False, "FileNotFoundError")}:
    raise SystemExit("this has changed")
EOF
NO_PROXY=127.0.0.1 "$folder/venv/bin/python" "$folder/ask.py"
