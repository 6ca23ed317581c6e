"""Results of files and runs, streamed: merging, filtering, splitting, counting and converting."""
