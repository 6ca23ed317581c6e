"""Results of files and of runs, as streams: joined, filtered, split, counted and converted."""
