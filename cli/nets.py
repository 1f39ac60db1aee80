"""medmamba nets: the networks."""

import typer

from . import options
from .screen import print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=options.examples("medmamba nets", "medmamba nets --json"))(nets)


def nets(as_json: options.AsJson = False) -> None:
    """List the networks: parameters of the paper's widths, tasks, dimensions, what sizes they take, reference."""
    from medmamba.networks import info, names, parameter_count

    found = [(info(name), parameter_count(name)) for name in names()]
    if as_json:
        print_json([{**_as_json(network), "parameters": count} for network, count in found])
        return
    rows = [
        (
            network.name,
            f"{count / 1e6:.2f} M",
            network.task,
            " ".join(f"{n}-D" for n in network.spatial_dims),
            network.divisor,
            "yes" if network.deep_supervision else "no",
            network.reference,
        )
        for network, count in found
    ]
    columns = ("network", "parameters", "task", "dims", "sizes", "deep supervision", "reference")
    print_table("Parameters: default preset, one input channel, two classes", columns, rows, right=("parameters",))


def _as_json(network: object) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(network)  # type: ignore[call-overload]
