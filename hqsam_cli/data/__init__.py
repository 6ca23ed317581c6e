"""Images with ground-truth masks: pairs in folders, and the data sets of the paper."""
