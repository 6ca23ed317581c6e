"""Measuring masks against the truth, by the protocols that produced the paper's numbers."""
