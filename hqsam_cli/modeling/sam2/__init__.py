"""SAM 2.1 and HQ-SAM 2 for images in plain torch, without the memory modules for videos."""
