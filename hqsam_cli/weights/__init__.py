"""Registry of models, download of weights, and checkpoints; the weights files of this package."""
