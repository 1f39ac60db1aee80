"""medmamba env: what stock nnU-Net commands need in the environment."""

import shlex

import typer

from . import options
from .screen import print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples('eval "$(medmamba env)"', "nnUNetv2_train 4 3d_fullres 0 -tr nnUNetTrainerSegMamba")
    )(env)


def env(as_json: options.AsJson = False, data_root: options.DataRoot = None) -> None:
    """Print the export lines with which stock nnU-Net commands find the same folders and our trainers."""
    from medmamba.data.folders import folders

    variables = folders(data_root).variables()
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
