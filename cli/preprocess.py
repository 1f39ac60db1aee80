"""medmamba preprocess: fingerprint, plans and preprocessed arrays of a dataset."""

import os
import shlex
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .screen import print_json, print_table

if TYPE_CHECKING:
    from medmamba.nnunet.planning.outlook import Outlook


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba preprocess --dataset Hippocampus",
            "medmamba preprocess --dataset 4 --net segmamba --preset small",
            "medmamba preprocess --dataset BraTS2023 --net segmamba --vram 24",
        )
    )(preprocess)


def preprocess(
    dataset: options.Dataset,
    net: Annotated[str | None, typer.Option(help="Also plan this network and show the plan.")] = None,
    preset: options.Preset = "default",
    vram: Annotated[
        float | None,
        typer.Option(
            help="Plan for a GPU of so many GB: 8, 12, 24, 48, 80. Default: as planned before, else for this machine."
        ),
    ] = None,
    config: Annotated[list[str] | None, typer.Option(help="Only this configuration; may be repeated.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Worker processes; default: one a core.")] = None,
    verify: Annotated[bool, typer.Option(help="Check the dataset's files and geometry first.")] = True,
    trial: Annotated[bool, typer.Option(help="Run a training step or two to tell how long training takes.")] = True,
    data_root: options.DataRoot = None,
    as_json: options.AsJson = False,
) -> None:
    """Plan and preprocess a dataset in nnU-Net's raw layout. What is up to date is skipped."""
    from medmamba.data.find import dataset_folder
    from medmamba.data.folders import folders
    from medmamba.errors import ConfigError

    if vram is not None and net is None:
        raise ConfigError("--vram plans a network, and none is named.", "Add --net; `medmamba nets` lists them.")
    places = folders(data_root)
    number = int(dataset_folder(dataset, places).name[7:10])
    places.export()
    from medmamba.nnunet.preparation import preprocess as run

    chosen = config or None
    with _leaving_at_once():
        file = run(
            number, network=net, preset=preset, configurations=chosen, processes=processes, verify=verify, vram=vram
        )
    plans, rows = _outlooks(file, trial) if net else ({}, [])
    if as_json:
        print_json(_as_json(file, plans, rows))
        return
    if net:
        _show(plans, rows)
    typer.echo(f"Plans: {file}")
    root = options.root_again(data_root)
    which = f"--dataset {shlex.quote(dataset)} --net {net or 'umamba-bot'} --preset {preset}"
    typer.echo(f"Next:  medmamba train {which}{root}")


@contextmanager
def _leaving_at_once() -> Iterator[None]:
    """Ctrl-C ends the process and its workers: nnU-Net's pools may wait for ever for workers that it has ended first.

    What a run leaves unfinished the next one does again.
    """

    def leave(*_: object) -> None:
        import multiprocessing

        for worker in multiprocessing.active_children():
            worker.kill()
        os._exit(130)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _outlooks(file: Path, trial: bool) -> tuple[dict[str, Any], "Sequence[Outlook]"]:
    from medmamba.files import read_json
    from medmamba.nnunet.planning.outlook import outlooks

    plans = read_json(file)
    return plans, outlooks(plans, read_json(file.parent / "dataset.json"), trial)


def _as_json(file: Path, plans: dict[str, Any], rows: "Sequence[Outlook]") -> dict[str, Any]:
    from dataclasses import asdict

    stamp = {key: plans["medmamba"][key] for key in ("network", "preset", "budget")} if plans else {}
    return {"plans": str(file), **stamp, "configurations": {row.configuration: asdict(row) for row in rows}}


def _show(plans: dict[str, Any], rows: "Sequence[Outlook]") -> None:
    """The plan as a table, a column for each configuration, and what it leaves to say."""
    stamp = plans["medmamba"]
    budget = stamp["budget"]
    what = f"{budget['gigabytes']:g} GB ({budget['origin']})"
    title = f"{stamp['network']}, preset {stamp['preset']}, planned for {what}"
    columns = [row.configuration for row in rows]
    print_table(title, ["", *columns], _lines(rows, budget), right=columns)
    for reason in dict.fromkeys(row.timing for row in rows):
        typer.echo(f"Time:  {reason}.")
    for row in rows:
        if not row.fits:
            over = "memory" if row.gigabytes > budget["gigabytes"] else "a step in reasonable time"
            typer.echo(
                f"Note:  {row.configuration} is over the budget ({over}): try --preset small or train --recompute."
            )


def _lines(rows: "Sequence[Outlook]", budget: dict[str, Any]) -> list[list[str]]:
    from medmamba.nnunet.planning.footprint import by
    from medmamba.nnunet.planning.outlook import duration

    described = {
        "spacing, mm": [" ".join(f"{value:.3g}" for value in row.spacing) for row in rows],
        "median shape": [by(row.median_shape) for row in rows],
        "patch": [by(row.patch_size) for row in rows],
        "batch": [str(row.batch_size) for row in rows],
        "stages": [str(row.stages or "its own") for row in rows],
        "divisible by": [by(row.divisor) for row in rows],
        "parameters": [f"{row.parameters / 1e6:.2f} M" for row in rows],
        "memory, GB": [f"{row.gigabytes:.1f} of {budget['gigabytes']:g}" for row in rows],
        "a step": [duration(row.seconds_per_step) for row in rows],
        "an epoch": [duration(row.seconds_per_epoch) for row in rows],
    }
    return [[name, *cells] for name, cells in described.items()]
