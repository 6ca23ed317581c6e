#!/usr/bin/env bash
# fsspec 2026.9.0 (pyftpdlib 2.2.0, Python 3.11), run 2026-11-30: an FTP folder that cannot be listed is an empty one.
# Expected: ls() raises where the server answers 550, no permission, or 421, too many connections.
# Seen: it is [] for both, as for a folder without files; exists() of a file in it is then False.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fsspec==2026.9.0 pyftpdlib==2.2.0
cat > "$folder/ask.py" <<'EOF'
import logging
import os
import sys
import threading

import fsspec
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import ThreadedFTPServer

logging.getLogger().addHandler(logging.NullHandler())
os.makedirs(f"{sys.argv[1]}/photos")
open(f"{sys.argv[1]}/photos/1.jpg", "w").close()


class Refusing(FTPHandler):
    authorizer, answer = DummyAuthorizer(), None

    def pre_process_command(self, line, cmd, arg):
        if self.answer and cmd in ("MLSD", "LIST") and arg.startswith("/photos"):
            self.respond(self.answer)
        else:
            super().pre_process_command(line, cmd, arg)


Refusing.authorizer.add_anonymous(sys.argv[1], perm="elr")
server = ThreadedFTPServer(("127.0.0.1", 0), Refusing)
threading.Thread(target=server.serve_forever, daemon=True).start()
seen = []
for Refusing.answer in (None, "550 Permission denied.", "421 Too many connections."):
    ftp = fsspec.filesystem("ftp", host="127.0.0.1", port=server.address[1])
    names, there = [info["name"] for info in ftp.ls("/photos")], ftp.exists("/photos/1.jpg")
    print(f"{Refusing.answer}: ls() is {names}, exists() of the file is {there}", flush=True)
    seen.append((names, there))
if seen != [(["/photos/1.jpg"], True), ([], False), ([], False)]:
    print("this has changed", flush=True)
    os._exit(1)
os._exit(0)  # the server's threads wait for connections
EOF
mkdir "$folder/ftp"
"$folder/venv/bin/python" "$folder/ask.py" "$folder/ftp"
