"""Model registry, weights download and checkpoints; also holds the bundled weights files."""
