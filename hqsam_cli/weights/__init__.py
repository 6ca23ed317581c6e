"""Registry of models, download of their weights, and checkpoints; with the weights files of this package."""
