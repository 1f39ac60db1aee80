"""A run that is killed, at whatever moment, and taken up again ends with the bits of one that was left in peace."""

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medmamba.nnunet import checkpoints
from tests.nnunet.small_runs import PLAIN, options

LENGTH = {"epochs": 4, "iterations": 5}


def _run(results: str, environment: dict[str, str], changes: dict[str, Any]) -> None:
    """In a process of its own: train, with a checkpoint after every step."""
    os.environ.update(environment, nnUNet_results=results)
    torch.set_num_threads(1)
    from medmamba.errors import MedMambaError
    from medmamba.nnunet.training import train

    try:
        train(PLAIN, options(**{**LENGTH, "save_minutes": 0.0, **changes}))
    except MedMambaError as error:
        os._exit(error.exit_code)


def start(processes: Any, results: Path, **changes: Any) -> Any:
    environment = {name: value for name, value in os.environ.items() if name.startswith("nnUNet")}
    process = processes.Process(target=_run, args=(str(results), environment, changes))
    process.start()
    return process


def final(results: Path) -> dict[str, Any]:
    return checkpoints.read(next(results.glob(f"*/*/fold_0/{checkpoints.FINAL}")))


def assert_same(one: Any, other: Any, where: str = "") -> None:
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            if "timestamps" not in str(key):
                assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for place, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}/{place}")
    elif isinstance(one, float | np.floating):
        assert np.array_equal(one, other, equal_nan=True), where
    else:
        assert one == other, where


@pytest.fixture(scope="session")
def undisturbed(processes: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], float]:
    """The final checkpoint of a run left in peace, and its seconds."""
    results = tmp_path_factory.mktemp("undisturbed")
    start(processes, results / "warm", epochs=1).join(300)
    started = time.monotonic()
    process = start(processes, results / "run")
    process.join(300)
    assert process.exitcode == 0
    return final(results / "run"), time.monotonic() - started


def _killed_until_done(processes: Any, results: Path, kills: int, seconds: float, number: int) -> None:
    """Kill the run `kills` times at random moments, then let it end."""
    draw = random.Random(kills)
    for _ in range(kills):
        process = start(processes, results, resume=True)
        time.sleep(draw.uniform(0.1, 0.6) * seconds)
        if process.is_alive():
            os.kill(process.pid, number)
        process.join(300)
    process = start(processes, results, resume=True)
    process.join(300)
    assert process.exitcode == 0


@pytest.mark.parametrize(("number", "kills"), [(signal.SIGKILL, 4), (signal.SIGTERM, 2)])
def test_killed_at_random_moments(
    processes: Any, undisturbed: tuple[dict[str, Any], float], tmp_path: Path, number: int, kills: int
) -> None:
    _killed_until_done(processes, tmp_path, kills, undisturbed[1], number)
    compare(final(tmp_path), undisturbed[0])


@pytest.mark.slow
def test_killed_twenty_times(processes: Any, undisturbed: tuple[dict[str, Any], float], tmp_path: Path) -> None:
    _killed_until_done(processes, tmp_path, 20, undisturbed[1], signal.SIGKILL)
    compare(final(tmp_path), undisturbed[0])


def compare(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Weights, optimiser, log and place are the same; only the clock is not."""
    for content in (one, other):
        for clock in ("seconds", "waited"):
            content[checkpoints.RUN].pop(clock, None)
    assert_same(one, other)


def test_sigterm_writes_a_checkpoint_and_says_so_by_its_exit_code(processes: Any, tmp_path: Path) -> None:
    process = start(processes, tmp_path, save_minutes=60.0, epochs=500)
    latest = "*/*/fold_0/checkpoint_latest.pth"
    deadline = time.monotonic() + 120
    while not any(tmp_path.glob(latest)) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.5)
    os.kill(process.pid, signal.SIGTERM)
    process.join(60)
    assert process.exitcode == 128 + signal.SIGTERM
    content = checkpoints.read(next(tmp_path.glob(latest)))
    assert checkpoints.reached(content) > (0, 0)
