"""Builds the image, runs it as a hospital or platform would, and compares it with the same bundle outside."""
