#!/usr/bin/env bash
# adlfs 2026.8.0 (fsspec 2026.9.0, Azurite 3.35.0), run 2026-11-30: find(path, detail=True) of a blob is a list of names.
# Expected: a dict of its details by its name, as of a folder, and as s3fs and gcsfs answer.
# Seen: a list. And in a folder that has an empty blob "dir.jpg/", as tools make to stand for a folder, find() has a file
# "dir.jpg", which info() says is a directory; s3fs and gcsfs keep the slash.
set -euo pipefail
folder=$(mktemp -d)
server=""
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check adlfs==2026.8.0 fsspec==2026.9.0
npm install --silent --no-fund --no-audit --prefix "$folder" azurite@3.35.0
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
AZURITE_ACCOUNTS=account:c2VjcmV0 "$folder/node_modules/.bin/azurite-blob" --inMemoryPersistence --skipApiVersionCheck \
    --disableTelemetry --silent --blobHost 127.0.0.1 --blobPort "$port" > "$folder/log" 2>&1 &
server=$!
for _ in $(seq 60); do
    if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then break; fi
    sleep 0.5
done
cat > "$folder/ask.py" <<'EOF'
import sys

import fsspec
from azure.storage.blob import BlobServiceClient

account = (
    "DefaultEndpointsProtocol=http;AccountName=account;AccountKey=c2VjcmV0;"
    f"BlobEndpoint=http://127.0.0.1:{sys.argv[1]}/account;"
)
container = BlobServiceClient.from_connection_string(account).create_container("photos")
container.upload_blob("one/a.jpg", b"photo")
container.upload_blob("one/dir.jpg/", b"")
azure = fsspec.filesystem("az", connection_string=account)
of_blob = azure.find("photos/one/a.jpg", detail=True)
of_folder = {name: info["type"] for name, info in azure.find("photos/one", detail=True).items()}
print("of a blob:", of_blob)
print("of its folder:", of_folder)
kind = azure.info("photos/one/dir.jpg")["type"]
print("info of dir.jpg:", kind)
if (of_blob, of_folder.get("photos/one/dir.jpg"), kind) != (["photos/one/a.jpg"], "file", "directory"):
    raise SystemExit("this has changed")
EOF
NO_PROXY=127.0.0.1 "$folder/venv/bin/python" "$folder/ask.py" "$port"
