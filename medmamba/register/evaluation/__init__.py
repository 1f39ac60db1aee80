"""Registrations of a data set scored: Dice, distances, landmarks and folding, with intervals over pairs."""
