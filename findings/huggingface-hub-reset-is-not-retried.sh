#!/usr/bin/env bash
# huggingface_hub 2.4.0, run 2026-11-30: a download whose connection is reset is not retried.
# Expected: hf_hub_download retries a transfer that breaks off, however it does. Seen: it does after an early end of the
# connection; after a reset (RST) it raises ReadError, which is none of the errors it retries.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'huggingface_hub==2.4.0'
seen=$(NO_PROXY=127.0.0.1 HF_HOME="$folder/home" HF_HUB_DISABLE_PROGRESS_BARS=1 HF_HUB_DISABLE_XET=1 \
    "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import os
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(40 << 20)
transfers, reset = [], False


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, body):
        first = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if first else 200)
        self.send_header("ETag", f'"{self.path[-5]}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        if not body:
            return
        transfers.append(first)
        if len(transfers) > 1:
            self.wfile.write(CONTENT[first:])
            return
        self.wfile.write(CONTENT[: 30 << 20])
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
from huggingface_hub import hf_hub_download

for reset, name in ((False, "a.bin"), (True, "b.bin")):
    transfers.clear()
    try:
        hf_hub_download("some/model", name)
        result = "complete"
    except Exception as error:
        result = type(error).__name__
    print("reset" if reset else "early end", result, len(transfers))
PYTHON
)
echo "$seen"
expected="early end complete 2
reset ReadError 1"
[ "$seen" = "$expected" ] || { echo "this has changed"; exit 1; }
