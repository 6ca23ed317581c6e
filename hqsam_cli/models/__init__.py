"""SAM and HQ-SAM in plain torch; nothing here knows of files in folders, COCO or the command line."""
