"""Folders of images in, high-quality instance masks out."""

__version__ = "0.1.0"
