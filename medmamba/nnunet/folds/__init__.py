"""Folds and ensembles: validation, cross-validation, the best of several models, post-processing."""
