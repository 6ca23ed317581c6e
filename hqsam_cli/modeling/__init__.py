"""SAM and HQ-SAM in plain torch; knows nothing of files, formats or the command line."""
