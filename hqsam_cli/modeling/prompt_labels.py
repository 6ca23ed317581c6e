"""Labels of point tokens, and of the corners of boxes, which SAM encodes as points; does not import torch."""

BACKGROUND_POINT, FOREGROUND_POINT, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT = range(4)
PADDING_POINT = -1  # SAM appends one to points without a box
ABSENT = -2  # pads the rows of a batch; masked out in attention
