"""A dataset card written by looking at a folder."""
