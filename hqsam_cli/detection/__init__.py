"""Object detection with ultralytics; boxes are returned as `Prompt` records."""
