"""Suffixes of image files that are read, of others that are not, and of videos."""

from __future__ import annotations

HEIF_SUFFIXES = (".heic", ".heif", ".hif", ".heics")
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".mpo"),
    *(".png", ".apng", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".avif", ".avifs", ".dib"),
    *(".jp2", ".j2k", ".j2c", ".jpf", ".jpx"),
)
OTHER_IMAGES = (
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".crw", ".raw", ".3fr", ".iiq"),
    *(".psd", ".xcf", ".svg", ".eps", ".tga", ".ppm", ".pgm", ".pbm", ".pnm", ".pcx", ".dds", ".qoi", ".ico"),
    *(".exr", ".hdr", ".fits", ".dcm", ".jxl", ".jxr"),
)
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".mts")
