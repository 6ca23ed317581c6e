"""Suffixes by what their files are: images that are read, images that are not, and what people take for images."""

from __future__ import annotations

HEIF_SUFFIXES = (".heic", ".heif", ".hif")
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    *(".png", ".apng", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".avif"),
    *(".jp2", ".j2k", ".jpf", ".jpx"),
)
RAW_SUFFIXES = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw")
OTHER_IMAGES = (
    *RAW_SUFFIXES,
    *(".psd", ".svg", ".tga", ".ppm", ".pgm", ".pbm", ".pnm", ".exr", ".hdr", ".jxl", ".dcm", ".eps", ".ico"),
)
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".mts")
