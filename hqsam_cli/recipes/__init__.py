"""Builds the repository's assets: detector, synthetic scenes, sample data, CLI reference. Not in the wheel."""
