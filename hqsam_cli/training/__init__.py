"""Training: data, augmentation, prompts, losses and the loop."""
