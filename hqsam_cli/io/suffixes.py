"""Suffixes by what their files are: images that are read, images that are not, and what people take for images."""

from __future__ import annotations

HEIF_SUFFIXES = (".heic", ".heif", ".hif", ".heics")
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".mpo"),
    *(".png", ".apng", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".avif", ".avifs", ".dib"),
    *(".jp2", ".j2k", ".j2c", ".jpf", ".jpx"),
)
RAW_SUFFIXES = (
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".orf",
    ".rw2",
    ".raf",
    ".pef",
    ".srw",
    ".crw",
    ".raw",
    ".3fr",
    ".iiq",
)
OTHER_IMAGES = (
    *RAW_SUFFIXES,
    *(".psd", ".xcf", ".svg", ".eps", ".tga", ".ppm", ".pgm", ".pbm", ".pnm", ".pcx", ".dds", ".qoi", ".ico"),
    *(".exr", ".hdr", ".fits", ".dcm", ".jxl", ".jxr"),
)
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".mts")
