#!/usr/bin/env bash
# fsspec 2026.9.0 and aiohttp 3.14.5 (Python 3.11), run 2026-11-30: cat_file(url, start, end) may return more than asked for.
# Expected: end - start bytes, or an error where the server knows no ranges, as an open file of the same file system
# raises. Seen: such a server answers 200 with the whole file, and all of it is returned. Python's own http.server is one.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'fsspec==2026.9.0' 'aiohttp==3.14.5'
mkdir "$folder/served"
printf '0123456789' > "$folder/served/ten.txt"
cat > "$folder/server.py" <<'EOF'
import functools, http.server, pathlib, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
pathlib.Path(sys.argv[2]).write_text(str(server.server_port))
server.serve_forever()
EOF
"$folder/venv/bin/python" "$folder/server.py" "$folder/served" "$folder/port" 2>/dev/null &
server=$!
until [ -s "$folder/port" ]; do sleep 0.1; done
seen=$("$folder/venv/bin/python" - "http://127.0.0.1:$(cat "$folder/port")/ten.txt" <<'EOF'
import sys
import fsspec
system = fsspec.filesystem("http")
print("cat_file(start=2, end=4):", system.cat_file(sys.argv[1], start=2, end=4).decode())
with system.open(sys.argv[1]) as file:
    file.seek(2)
    try:
        print("read(2) after seek(2):", file.read(2).decode())
    except ValueError as error:
        print("read(2) after seek(2):", type(error).__name__)
EOF
)
echo "$seen"
[ "$seen" = "cat_file(start=2, end=4): 0123456789
read(2) after seek(2): ValueError" ] || { echo "this has changed"; exit 1; }
