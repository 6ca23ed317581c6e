"""Builds assets of the repository: the detector, drawn scenes, sample data, the CLI reference. Not in the wheel."""
