"""Finding objects: the one place that knows ultralytics; what it finds leaves as `Prompt` records."""
