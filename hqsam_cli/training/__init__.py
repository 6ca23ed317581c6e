"""Training: datasets, augmentation, prompt sampling, losses and the training loop."""
