"""Batches of images and ragged prompts through a model, up to masks in each image's own pixels."""
