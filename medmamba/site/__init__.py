"""The entrypoint of the container for hospitals and challenges: `medmamba site`, also `python -m medmamba.site`.

One program for five platforms' conventions (`modes`). It works without network, without root and without a home, loads
nothing but a checked bundle, and says what it does in a closed vocabulary (`events`), in which no name of a patient, a
file or a machine has a place.
"""

from .main import main

__all__ = ["main"]
