"""What our training loop costs beside stock nnU-Net's: the same network, data, patch and batch, in turn."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import torch

from ..nnunet import stock
from ..nnunet.stock import OURS, STOCK, Loop, Step
from . import machine


@dataclass(frozen=True)
class TrainingOptions:
    """What to measure."""

    dataset_id: int
    configuration: str = "3d_fullres"
    workers: int = 0
    """Processes that prepare data, for each of the two."""
    blocks: int = 6
    """Times that each of the two has its turn."""
    steps: int = 8
    """Steps of a turn that count."""


@dataclass(frozen=True)
class Row:
    """The steps of one trainer. Seconds."""

    name: str
    steps: int
    median: float
    lower: float
    """Lower quartile."""
    upper: float
    waited: float
    """Share (0 to 1) of the time of all steps in which they waited for data."""
    cpu: float
    """Median of the seconds that all threads of the process worked in a step."""
    images_per_second: float


@dataclass(frozen=True)
class TrainingReport:
    """Both trainers, and the machine they ran on."""

    about: dict[str, Any]
    dataset: str
    configuration: str
    network: str
    patch_size: tuple[int, ...]
    batch_size: int
    workers: int
    precision: str
    rows: tuple[Row, ...]
    overhead: float
    """How much longer our median step takes than stock nnU-Net's: 0.05 is 5 %."""
    overhead_range: tuple[float, float]
    """Quartiles of the same over pairs of neighbouring turns."""
    cpu_overhead: float
    """The same of the processor's seconds, which a busy machine changes least."""

    def as_json(self) -> dict[str, Any]:
        """The report for other programs."""
        content = asdict(self)
        return {**content.pop("about"), **content}


def run(
    options: TrainingOptions, device: torch.device, tell: Callable[[str], None] = lambda text: None
) -> TrainingReport:
    """Let both train in turn and compare their steps. Raises DataError when the dataset is not preprocessed."""
    dataset, patch, batch, network = stock.sizes(options.dataset_id, options.configuration)
    tell("preparing both")
    with stock.loops(options.dataset_id, options.configuration, device, options.workers) as loops:
        turns = in_turn(loops, options, tell)
    rows = tuple(summary(name, [step for turn in turns[name] for step in turn], batch) for name in (STOCK, OURS))
    pairs = [
        statistics.median(step.seconds for step in ours) / statistics.median(step.seconds for step in theirs) - 1
        for theirs, ours in zip(turns[STOCK], turns[OURS], strict=True)
    ]
    return TrainingReport(
        about=_about(device),
        dataset=dataset,
        configuration=options.configuration,
        network=network,
        patch_size=patch,
        batch_size=batch,
        workers=options.workers,
        precision="fp16, as nnU-Net has it" if device.type == "cuda" else "fp32, as nnU-Net has it",
        rows=rows,
        overhead=rows[1].median / rows[0].median - 1,
        overhead_range=quartiles(pairs),
        cpu_overhead=rows[1].cpu / rows[0].cpu - 1,
    )


def _about(device: torch.device) -> dict[str, Any]:
    about = machine.describe(device, torch.get_num_threads())
    about["versions"]["nnunetv2"] = metadata.version("nnunetv2")
    return about


def in_turn(
    loops: Mapping[str, Loop], options: TrainingOptions, tell: Callable[[str], None]
) -> dict[str, list[list[Step]]]:
    """The steps of each turn of each loop. Who begins changes from block to block.

    A turn begins with steps that do not count: batches that were prepared while the other had its turn.
    """
    turns: dict[str, list[list[Step]]] = {name: [] for name in loops}
    for loop in loops.values():
        loop.step()  # prepares kernels and memory
    for block in range(options.blocks):
        tell(f"block {block + 1} of {options.blocks}")
        for name in list(loops)[:: 1 if block % 2 == 0 else -1]:
            for _ in range(prepared(options.workers)):
                loops[name].step()
            turns[name].append([loops[name].step() for _ in range(options.steps)])
    return turns


def prepared(workers: int) -> int:
    """Batches that either trainer has ready at most after a pause, and one to warm the caches."""
    return 1 + (max(6, 3 * workers) if workers else 0)


def summary(name: str, steps: Sequence[Step], batch: int) -> Row:
    """A trainer's row."""
    seconds = [step.seconds for step in steps]
    lower, upper = quartiles(seconds)
    whole = sum(seconds)
    return Row(
        name,
        len(steps),
        statistics.median(seconds),
        lower,
        upper,
        sum(step.waited for step in steps) / whole,
        statistics.median(step.cpu for step in steps),
        batch * len(steps) / whole,
    )


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Lower and upper quartile; of a single value, that value."""
    if len(values) == 1:
        return values[0], values[0]
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, upper
