"""Training: data, augmentation, prompts, losses and the training loop."""
