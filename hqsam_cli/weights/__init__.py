"""Which models there are, where their files are, and what a file holds; beside the code, the files of this package."""
