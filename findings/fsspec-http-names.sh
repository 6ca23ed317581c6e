#!/usr/bin/env bash
# fsspec 2026.9.0 (aiohttp 3.14.5, Python 3.11), run 2026-11-30: ls() of a page of Apache has files that are not there.
# Expected: the targets of the page's links, as a browser has them: "it's.jpg" and "a&b.jpg" here.
# Seen: a name ends at its apostrophe though the attribute is in double quotes, "&amp;" stays as it is, and the links
# that sort the columns are files. All are found by one regular expression over the text.
# The page holds links as mod_autoindex 2.4 of Debian writes them with "IndexOptions FancyIndexing".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fsspec==2026.9.0 aiohttp==3.14.5
cat > "$folder/ask.py" <<'EOF'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import fsspec

PAGE = b"""<html><body><pre><a href="?C=N;O=D">Name</a> <a href="?C=S;O=A">Size</a>
<a href="a&amp;b.jpg">a&amp;b.jpg</a> 637
<a href="it's.jpg">it's.jpg</a> 637
</pre></body></html>"""


class Listing(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html;charset=UTF-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    log_message = lambda *_: None


server = HTTPServer(("127.0.0.1", 0), Listing)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/photos/"
names = sorted(name.removeprefix(url) for name in fsspec.filesystem("http").ls(url, detail=False))
print("listed:", names)
if names != ["?C=N;O=D", "?C=S;O=A", "a&amp;b.jpg", "it"]:
    raise SystemExit("this has changed")
EOF
NO_PROXY=127.0.0.1 "$folder/venv/bin/python" "$folder/ask.py"
