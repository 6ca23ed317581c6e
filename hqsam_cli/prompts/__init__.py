"""From what a file said to what an image is asked: matched to images, filtered, fit to the image's size."""
