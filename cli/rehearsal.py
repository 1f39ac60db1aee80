"""What `medmamba train --dry-run` prints."""

from typing import TYPE_CHECKING

import typer

from .progress import clock
from .screen import print_table

if TYPE_CHECKING:
    from medmamba.nnunet.watching.rehearsal import Rehearsal

_WIDTH = 100


def show_rehearsal(found: "Rehearsal") -> None:
    """A table of everything that would happen, what stands against it, and that nothing was done."""
    title = f"{found.dataset}, fold {found.fold}: what would happen"
    print_table(title, ("what", "how"), rows(found), width=_WIDTH)
    typer.echo(f"Plans:  {found.plans}\nFolder: {found.folder}")
    for problem in found.problems:
        typer.secho(problem, fg="red", bold=True)
    typer.echo("Nothing was done.")


def rows(found: "Rehearsal") -> list[tuple[str, str]]:
    """The table's rows."""
    recipe = found.recipe
    stages = f", {found.stages} stages" if found.stages else ""
    size = "x".join(map(str, found.patch_size))
    spacing = " x ".join(f"{step:.3g}" for step in found.spacing)
    shared = f", shared by {found.processes} processes" if found.processes > 1 else ""
    rate = f"{recipe['learning_rate']:g}, {recipe['schedule']}"
    rate += f" after {recipe['warmup_epochs']} epochs of rise" if recipe["warmup_epochs"] else ""
    switches = [name for name in ("recompute", "deterministic") if recipe[name]]
    if recipe["accumulate"] > 1:
        switches.append(f"batches in {recipe['accumulate']} parts")
    steps = f"{recipe['iterations']} training and {recipe['validation_iterations']} validation steps"
    return [
        ("cases", f"{found.train_cases} to train on, {found.val_cases} to validate"),
        ("configuration", f"{found.configuration}, spacing {spacing}{stages}"),
        ("patch and batch", f"{size}, batch {found.batch_size}{shared}"),
        ("network", f"{found.network}, preset {found.preset}, {found.parameters / 1e6:.2f} M parameters"),
        ("a step computes", f"{found.flops / 1e9:,.0f} GFLOP"),
        ("optimiser", f"{recipe['optimizer']}, learning rate {rate}, weight decay {recipe['weight_decay']:g}"),
        ("length", f"{recipe['epochs']} epochs of {steps}"),
        *([("switches", ", ".join(switches))] if switches else []),
        ("seed", "a new one" if found.seed is None else str(found.seed)),
        ("device", found.device),
        ("precision", found.precision),
        ("scan", found.scan),
        ("data workers", f"{found.workers} ({found.workers_why})"),
        ("memory", _against(found.memory, found.memory_free)),
        ("disk", _against(found.disk, found.disk_free)),
        ("time", _time(found)),
        ("files", ", ".join(found.files)),
        ("starts", found.start),
        ("afterwards", "validation of the fold" if found.validation else "no validation"),
    ]


def _against(needed: int, free: int | None) -> str:
    there = "" if free is None else f" of {free / 2**30:.1f} GiB free"
    return f"about {needed / 2**30:.2f} GiB{there}"


def _time(found: "Rehearsal") -> str:
    if found.epoch_seconds is None:
        return "not known before the first epochs"
    return (
        f"{clock(found.seconds)}: {found.epochs_left} epochs of {found.epoch_seconds:.0f} s, by the run that is there"
    )
