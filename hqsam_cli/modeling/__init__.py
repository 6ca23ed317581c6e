"""SAM and HQ-SAM in plain torch, independent of files, formats and the command line."""
