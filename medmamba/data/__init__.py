"""Where data lies, what is known about public datasets, and data made in code."""
