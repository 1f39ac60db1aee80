"""medmamba nets: the networks."""

from typing import TYPE_CHECKING

import typer

from . import options
from .screen import print_json, print_table

if TYPE_CHECKING:
    from medmamba.networks import NetworkInfo


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=options.examples("medmamba nets", "medmamba nets --json"))(nets)


def nets(as_json: options.AsJson = False) -> None:
    """List the networks: parameters of the paper's widths, tasks, dimensions, what sizes they take, reference."""
    from dataclasses import asdict

    from medmamba.networks import infos

    found = [(network, _parameters(network)) for network in infos()]
    if as_json:
        print_json([{**asdict(network), "parameters": count} for network, count in found])
        return
    rows = [
        (
            network.name,
            f"{count / 1e6:.2f} M",
            network.task,
            " ".join(f"{n}-D" for n in network.spatial_dims),
            network.divisor,
            "yes" if network.deep_supervision else "no",
        )
        for network, count in found
    ]
    columns = ("network", "parameters", "task", "dims", "sizes divide by", "deep sup.")
    print_table(
        "Parameters at the paper's widths, for one input channel and two classes", columns, rows, right=("parameters",)
    )
    for network, _ in found:
        typer.echo(f"{network.name:12} {network.reference}")


def _parameters(network: "NetworkInfo") -> int:
    """Parameters of the paper's widths for one input channel and two classes; nothing is allocated for them."""
    import torch

    from medmamba.networks import create

    classes = None if network.task == "registration" else 2
    with torch.device("meta"):
        built = create(network.name, input_channels=1, num_classes=classes)
    return sum(parameter.numel() for parameter in built.parameters())
