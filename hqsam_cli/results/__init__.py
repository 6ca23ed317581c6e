"""Files of results that are there: joined, chosen from, split, counted and written otherwise, as streams."""
