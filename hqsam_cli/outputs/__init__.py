"""Writers of results: COCO JSON, NDJSON, PNG masks and id maps; every file appears whole or not at all."""
