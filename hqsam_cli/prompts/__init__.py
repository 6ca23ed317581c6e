"""Prompts: reading files, matching them to images, filtering, and scaling to the image size."""
