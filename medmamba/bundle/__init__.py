"""Trained models to hand to others: safetensors, JSON and digests; no pickle, no code."""
