"""How alike two images are, and how smooth a field: differentiable, lower is better."""
