"""`medmamba predict` beside stock nnU-Net's command: whole commands in turn, same weights, same images, same cores."""

import os
import shlex
import shutil
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

from .. import runtime
from ..errors import ConfigError, SetupError
from ..nnunet import checkpoints, door
from . import machine, process_tree
from .predict_labels import Agreement, agreement
from .predict_report import STOCK, VARIANTS, Compared, PredictOptions, PredictReport, Row, Tell
from .predict_workloads import Prepared, prepare
from .process_tree import Usage

STOCK_COMMAND = "nnUNetv2_predict_from_modelfolder"
"""Stock nnU-Net's `nnUNetv2_predict` with a model's folder in place of its number: the same code behind it."""
OUR_COMMAND = "medmamba"
_DEFAULT_PROCESSES = 3
"""Of stock nnU-Net, for preprocessing and for export each."""


@dataclass(frozen=True)
class Side:
    """One of those that are compared."""

    name: str
    arguments: tuple[str, ...]
    """Of its command, without the output folder, which each run has for itself."""
    output: str
    """The option for that folder."""

    def command(self, folder: Path) -> list[str]:
        """What is run."""
        return [executable(self.arguments[0]), *self.arguments[1:], self.output, str(folder)]

    def typed(self) -> str:
        """As a user types it."""
        return shlex.join([*self.arguments, self.output, "OUTPUT"])


def run(options: PredictOptions, folder: Path | None = None, tell: Tell = lambda text: None) -> PredictReport:
    """Measure all workloads. `folder` keeps images, models and label maps; None: they are removed at the end.

    Raises ConfigError or DataError for wrong options, SetupError where a command is not installed. A side that fails
    has the reason in its row, and the others go on.
    """
    _check(options)
    place = nullcontext(str(folder)) if folder is not None else tempfile.TemporaryDirectory(prefix="medmamba-bench-")
    with place as name:
        here = Path(name).absolute()
        tell("making images and models")
        ready = prepare(options, here)
        _warm(here / "runs", options)
        compared = tuple(compare(one, options, here / "runs" / one.name, tell) for one in ready)
    threads = options.threads or runtime.cpu_count()
    about = machine.describe(torch.device(options.device), threads)
    about["versions"]["nnunetv2"] = metadata.version("nnunetv2")
    return PredictReport(about, compared)


def _check(options: PredictOptions) -> None:
    unknown = [name for name in options.variants if name not in VARIANTS]
    if unknown:
        raise ConfigError(f"There is no variant {unknown[0]!r} of ours.", f"There are: {', '.join(VARIANTS)}.")
    cores = runtime.cpu_count()
    if options.threads is not None and options.threads > cores:
        raise ConfigError(f"{options.threads} threads on {cores} cores measure nothing.", f"Use at most {cores}.")
    for command in (STOCK_COMMAND, OUR_COMMAND):
        executable(command)


def executable(command: str) -> str:
    """Where a command lies: beside this Python, else on the path. SetupError when it does not."""
    beside = Path(sys.executable).with_name(command)
    found = str(beside) if beside.is_file() else shutil.which(command)
    if found is None:
        raise SetupError(f"The command {command} is not installed.", "Install medmamba with pip; nnunetv2 comes along.")
    return found


def environment(threads: int | None) -> dict[str, str]:
    """The same for both: a user's own, with the door to our trainers for models that were trained with them.

    Numbers of threads that the caller's environment sets go, unless `threads` is one to set.
    """
    given = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    number = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    return {**given, "nnUNet_extTrainer": str(door.folder()), **number}


def _cores(threads: int | None) -> list[int] | None:
    """As many cores, for stock nnU-Net takes all that there are whatever it is told."""
    if threads is None or not hasattr(os, "sched_getaffinity"):
        return None
    return sorted(os.sched_getaffinity(0))[:threads]


def _warm(folder: Path, options: PredictOptions) -> None:
    """Have the libraries of both in the system's cache of files, so that who comes first does not pay for it."""
    for command in ([STOCK_COMMAND, "-h"], [OUR_COMMAND, "predict", "--help"]):
        log = folder / f"{command[0]}-help.log"
        process_tree.run([executable(command[0]), *command[1:]], environment(options.threads), log)


def sides(ready: Prepared, options: PredictOptions) -> list[Side]:
    """Stock nnU-Net and every variant of ours for a workload."""
    folds = [path.parent.name.removeprefix("fold_") for path in ready.model.glob(f"fold_*/{checkpoints.FINAL}")]
    folds = sorted(fold for fold in folds if fold != "all") or folds
    stock = [STOCK_COMMAND, "-i", str(ready.images), "-m", str(ready.model), "-f", *folds, "-device", options.device]
    if options.stock_processes is not None:
        stock += ["-npp", str(options.stock_processes), "-nps", str(options.stock_processes)]
    stock += [] if ready.mirror else ["--disable_tta"]
    ours = [OUR_COMMAND, "predict", "--model", str(ready.model), "--input", str(ready.images)]
    ours += ["--device", options.device, *([] if ready.mirror else ["--no-mirror"])]
    return [
        Side(STOCK, (*stock, *options.stock), "-o"),
        *(Side(name, (*ours, *VARIANTS[name], *options.ours), "--output") for name in options.variants),
    ]


def compare(ready: Prepared, options: PredictOptions, folder: Path, tell: Tell) -> Compared:
    """Run all sides of a workload in turn, round after round; who failed once is left out of the next rounds."""
    everyone = sides(ready, options)
    runs: dict[str, list[Usage]] = {side.name: [] for side in everyone}
    failed: dict[str, str] = {}
    rounds = 1 if options.quick else options.repeats
    for number in range(rounds):
        for side in everyone:
            if side.name not in failed:
                tell(f"{ready.name}: {side.name}, round {number + 1} of {rounds}")
                usage = _once(side, options, folder / side.name)
                runs[side.name].append(usage)
                if usage.code:
                    failed[side.name] = why(usage)
    return Compared(
        ready.name,
        ready.about,
        ready.mirror,
        options.stock_processes or _DEFAULT_PROCESSES,
        _rows(everyone, runs, failed, _agreements(ready, options, everyone, failed, folder, tell)),
    )


def why(usage: Usage) -> str:
    """Why a run failed: its exit code or signal and the last it said."""
    last = " ".join([line.strip() for line in usage.text.splitlines() if line.strip()][-2:]) or "no output"
    return f"failed: {f'signal {-usage.code}' if usage.code < 0 else f'exit code {usage.code}'}: {last[:400]}"


def _once(side: Side, options: PredictOptions, output: Path) -> Usage:
    """One run, into an empty folder; the label maps of the last one stay."""
    shutil.rmtree(output, ignore_errors=True)
    log = output.with_name(f"{output.name}.log")
    return process_tree.run(side.command(output), environment(options.threads), log, _cores(options.threads))


def _agreements(
    ready: Prepared, options: PredictOptions, everyone: list[Side], failed: dict[str, str], folder: Path, tell: Tell
) -> dict[str, Agreement]:
    """Label maps of each of ours against stock nnU-Net's."""
    stock, *ours = everyone
    if stock.name in failed or all(side.name in failed for side in ours):
        return {}
    probabilities = None
    if options.ties:
        tell(f"{ready.name}: {stock.name} once more, for its probabilities")
        probabilities = folder / "probabilities"
        more = Side(stock.name, (*stock.arguments, "--save_probabilities"), stock.output)
        if _once(more, options, probabilities).code:
            probabilities = None
    return {
        side.name: agreement(folder / stock.name, folder / side.name, ready.ending, probabilities)
        for side in ours
        if side.name not in failed
    }


def _rows(
    everyone: list[Side], runs: dict[str, list[Usage]], failed: dict[str, str], agreements: dict[str, Agreement]
) -> tuple[Row, ...]:
    return tuple(
        Row(
            side.name if side.name == STOCK else f"{OUR_COMMAND} {side.name}",
            side.typed(),
            tuple(runs[side.name]),
            failed.get(side.name, ""),
            agreements.get(side.name),
        )
        for side in everyone
    )
