"""Measuring masks against the ground truth, by the protocols that produced the paper's numbers."""
