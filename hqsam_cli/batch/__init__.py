"""Runs over many images: the pipeline from files to results, and the journal for resuming."""
