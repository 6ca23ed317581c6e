#!/usr/bin/env bash
# tarfile of Python 3.11 and GNU tar, run 2026-11-30: a tar in which a file was replaced extracts to other files.
# Expected: a.txt and its hard link b.txt are archived, a.txt is replaced by "tar rf", and both tools extract the same.
# Seen: tar unlinks a.txt before it writes the second one, so b.txt keeps the old content; tarfile writes into the file that
# is there, so b.txt gets the new content too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir by_tar by_python
echo old > a.txt
ln a.txt b.txt
tar cf files.tar a.txt b.txt
rm a.txt
echo new > a.txt
tar rf files.tar a.txt
tar xf files.tar -C by_tar
python3 -c 'import tarfile; tarfile.open("files.tar").extractall("by_python", filter="data")'
seen="tar: $(cat by_tar/a.txt) $(cat by_tar/b.txt), tarfile: $(cat by_python/a.txt) $(cat by_python/b.txt)"
echo "$seen"
[ "$seen" = "tar: new old, tarfile: new new" ] || { echo "this has changed"; exit 1; }
