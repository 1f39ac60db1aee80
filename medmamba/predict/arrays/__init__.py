"""The mathematics of a case in slabs: image to network grid, sliding window, logits to label map."""
