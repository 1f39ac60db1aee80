"""The report for people: one HTML file with scores, pictures, a viewer, and what the model is."""

from .write import write_report

__all__ = ["write_report"]
