#!/usr/bin/env bash
# s3fs 2026.9.0, run 2026-11-30 against moto 5.2.5: cat_file of a whole object makes two requests, HEAD and GET.
# Expected: one GET, as cat_file(path, start=0) makes. Seen: the size is asked for first, to fetch objects of more than
# 50 MB in parts; cat_file(path, max_concurrency=1) does without.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 's3fs==2026.9.0' 'moto[server]==5.2.5'
seen=$(NO_PROXY=127.0.0.1 AWS_DEFAULT_REGION=us-east-1 "$folder/venv/bin/python" - <<'PYTHON'
import threading

import s3fs
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

moto, asked = DomainDispatcherApplication(create_backend_app), []


def application(environ, start_response):
    asked.append(environ["REQUEST_METHOD"])
    return moto(environ, start_response)


class Quiet(WSGIRequestHandler):
    def log(self, *_):
        pass


server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
system = s3fs.S3FileSystem(
    key="key",
    secret="secret",
    endpoint_url=f"http://127.0.0.1:{server.server_port}",
    use_listings_cache=False,
)
system.mkdir("bucket")
system.pipe_file("bucket/a.txt", b"a few bytes")
for options in ({}, {"start": 0}, {"max_concurrency": 1}):
    asked.clear()
    assert system.cat_file("bucket/a.txt", **options) == b"a few bytes"
    print(options, *asked)
PYTHON
)
echo "$seen"
expected="{} HEAD GET
{'start': 0} GET
{'max_concurrency': 1} GET"
[ "$seen" = "$expected" ] || { echo "this has changed"; exit 1; }
