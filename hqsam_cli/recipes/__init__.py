"""Build assets of the repository: detector, rendered scenes, sample data, CLI reference. Not in the wheel."""
