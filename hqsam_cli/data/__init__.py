"""Images with ground-truth masks: pairs in folders, and the named sets of the paper."""
