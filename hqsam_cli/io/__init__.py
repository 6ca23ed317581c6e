"""Files: images found and decoded, masks read, results written whole or not at all."""
