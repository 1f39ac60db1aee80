"""How good a segmentation is, and what it looks like."""
