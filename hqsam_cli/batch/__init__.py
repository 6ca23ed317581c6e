"""A run over many images: the pipeline from files to results, and the journal that lets it continue."""
