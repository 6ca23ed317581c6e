"""Evaluation of masks against ground truth, by the protocols of the paper."""
