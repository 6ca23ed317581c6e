"""Images with ground-truth masks: pairs in folders, and the datasets of the paper."""
