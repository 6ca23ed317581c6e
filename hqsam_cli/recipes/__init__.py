"""What builds the assets of this project: the detector, drawn scenes, sample data. No command imports it."""
