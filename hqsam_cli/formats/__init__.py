"""What other programs read and write: a file a format."""
