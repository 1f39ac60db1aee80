"""Two processes on the CPU see what one sees, and learn what it learns."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from medmamba.errors import SetupError
from medmamba.nnunet.loop import ranks
from tests.nnunet.small_runs import PLAIN, REGIONS, options

RUN = {"epochs": 2, "iterations": 3, "batch_size": 3}


def _train(environment: dict[str, str], number: int, changes: dict[str, Any], report: str) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    from medmamba.nnunet.loop.reports import StepReport, Watcher
    from medmamba.nnunet.training import train

    losses: list[float] = []

    class Losses(Watcher):
        def step(self, report: StepReport) -> None:
            losses.append(report.loss)

    runs = changes.pop("runs", 1)
    with ranks.joined(torch.device("cpu")):
        for fold in range(runs):
            train(number, options(**{**RUN, **changes, "fold": fold}), [Losses()])
    if ranks.first():
        Path(report).write_text(json.dumps(losses))


def losses_of(processes: Any, place: Path, count: int, number: int = PLAIN, **changes: Any) -> list[float]:
    """The losses of every step, of a run by `count` processes that know each other."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {name: value for name, value in os.environ.items() if name.startswith("nnUNet")}
    common |= {"nnUNet_results": str(place), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    running = []
    for rank in range(count):
        own = {**common, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
        running.append(processes.Process(target=_train, args=(own, number, changes, str(place / "losses.json"))))
        running[-1].start()
    for process in running:
        process.join(200)
    assert [process.exitcode for process in running] == [0] * count
    return json.loads((place / "losses.json").read_text())


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (PLAIN, {}),
        (PLAIN, {"accumulate": 2}),
        (PLAIN, {"recompute": True}),
        (REGIONS, {"network": "segmamba"}),
    ],
)
def test_two_processes_learn_what_one_learns(
    processes: Any, tmp_path: Path, number: int, changes: dict[str, Any]
) -> None:
    """A batch of three does not even divide by two."""
    places = [tmp_path / "one", tmp_path / "two"]
    for place in places:
        place.mkdir()
    one = losses_of(processes, places[0], 1, number, **changes)
    two = losses_of(processes, places[1], 2, number, **changes)
    assert len(one) == 2 * (3 + 1)
    assert two[:4] == pytest.approx(one[:4], rel=2e-4)
    assert two[4:] == pytest.approx(one[4:], rel=5e-3)  # Adam makes much of differences in rounding


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "preset"),
    [
        *((network, "small") for network in ("umamba-enc", "segmamba-v2", "lightm-unet", "vivim", "mambamorph")),
        ("mambamorph", "unlabelled"),
    ],
)
def test_every_network_trains_on_two_processes(processes: Any, tmp_path: Path, network: str, preset: str) -> None:
    """No parameter may be left without a gradient: the processes would wait for it for ever."""
    how = {"network": network, "preset": preset, "patch_size": None, "epochs": 1, "iterations": 2}
    assert len(losses_of(processes, tmp_path, 2, **how)) == 3


def test_runs_in_a_row(processes: Any, tmp_path: Path) -> None:
    """Processes that joined once stay together from fold to fold."""
    assert len(losses_of(processes, tmp_path, 2, runs=2, epochs=1, iterations=2)) == 2 * 3


def test_a_process_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SetupError, match="Process 1 of this machine has no GPU"), ranks.joined(torch.device("cuda")):
        pass


def test_alone_there_is_nothing_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with ranks.joined(torch.device("cpu")) as device:
        assert device.type == "cpu"
        assert not torch.distributed.is_initialized()
