"""`python -m medmamba.cli`, for a checkout that is not installed."""

from . import app

app(prog_name="medmamba")
