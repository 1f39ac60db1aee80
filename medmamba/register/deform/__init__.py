"""Deforming one image onto another on one grid: discrete search, then instance optimisation of a velocity."""
