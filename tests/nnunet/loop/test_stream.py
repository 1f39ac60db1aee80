"""Batches by their place: the same whoever makes them, wherever a run goes on."""

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medmamba.errors import ConfigError, DataError
from medmamba.nnunet.loop import ranks, stream
from medmamba.nnunet.loop.stream import Share
from medmamba.nnunet.loop.trainer import MedMambaTrainer
from medmamba.nnunet.training import make_trainer
from tests.nnunet.small_runs import PLAIN, options

CPU = torch.device("cpu")


def trainer(**changes: Any) -> MedMambaTrainer:
    made = make_trainer(f"Dataset{PLAIN}_Blobs", options(**changes), CPU)
    made.initialize()
    return made


def batches(made: MedMambaTrainer, count: int, epoch: int = 0, step: int = 0, workers: int = 0) -> list[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("nnUNet_n_proc_DA", str(workers))
        train, _ = made.get_dataloaders()
    train.seek(epoch, step)
    found = [next(train) for _ in range(count)]
    train.close()
    return found


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    targets = zip(one["target"], other["target"], strict=True)
    return torch.equal(one["data"], other["data"]) and all(torch.equal(a, b) for a, b in targets)


def test_a_place_gives_a_batch_whatever_came_before(workplace: Path) -> None:
    row = batches(trainer(), 4)  # two steps an epoch: epochs 0, 0, 1, 1
    torch.rand(7), np.random.rand(3)
    later = batches(trainer(), 1, epoch=1, step=1)
    assert same(later[0], row[3])
    assert not any(same(a, b) for a, b in itertools.combinations(row, 2))


def test_another_seed_gives_other_batches(workplace: Path) -> None:
    assert not same(batches(trainer(), 1)[0], batches(trainer(seed=4), 1)[0])


@pytest.mark.parametrize("free", [2**40, 0])
def test_worker_processes_make_the_same_row(workplace: Path, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """With shared memory, and through pipes where there is too little of it."""
    monkeypatch.setattr("medmamba.runtime.shared_memory", lambda: free)
    made = trainer()
    assert all(same(a, b) for a, b in zip(batches(made, 3, workers=2), batches(made, 3), strict=True))


def test_a_worker_that_dies_is_replaced_by_this_process(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trainer()
    monkeypatch.setenv("nnUNet_n_proc_DA", "1")
    train, _ = made.get_dataloaders()
    first = next(train)
    for process in train._rows._workers:  # type: ignore[union-attr]
        process.kill()
        process.join()
    rest = [next(train) for _ in range(4)]
    assert "died" in train.complaint
    assert all(same(a, b) for a, b in zip([first, *rest], batches(made, 5), strict=True))


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_case_that_cannot_be_read_is_named(workplace: Path, monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    made = trainer()
    monkeypatch.setenv("nnUNet_n_proc_DA", workers)
    train, _ = made.get_dataloaders()
    cases = train._batches._loader._data

    def broken(case: str) -> Any:
        raise RuntimeError("cut off")

    monkeypatch.setattr(cases, "load_case", broken)
    with pytest.raises(DataError, match=r"preprocessed case \w+ cannot be read: cut off"):
        next(train)


def test_a_death_between_two_batches_interrupts_nothing(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch would raise it in the midst of a step; here the next batch is the first to hear of it."""
    made = trainer()
    monkeypatch.setenv("nnUNet_n_proc_DA", "1")
    train, _ = made.get_dataloaders()
    first = next(train)
    for process in train._rows._workers:  # type: ignore[union-attr]
        process.kill()
    time.sleep(1)
    rest = [next(train) for _ in range(3)]
    assert "died" in train.complaint
    assert all(same(a, b) for a, b in zip([first, *rest], batches(made, 4), strict=True))


def test_two_processes_share_the_batch_of_one(workplace: Path) -> None:
    made = trainer()
    whole = batches(made, 1)[0]
    halves = []
    for rank in range(2):
        made.share, made.batch_size = ranks.share_of(2, rank, 2), 1
        halves.append(batches(made, 1)[0])
    assert torch.equal(torch.cat([half["data"] for half in halves]), whole["data"])


def test_the_last_samples_hold_foreground(workplace: Path) -> None:
    made = trainer(batch_size=6)
    seen = [batch["target"][0].flatten(1).amax(1) > 0 for batch in batches(made, 3)]
    assert all(bool(batch[4:].all()) for batch in seen)


def test_looking_at_a_batch_disturbs_nothing(workplace: Path) -> None:
    made = trainer()
    made.dataloader_train, made.dataloader_val = made.get_dataloaders()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    one, other = made.validation_batch(0), made.validation_batch(0)
    assert same(one, other)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


@given(st.integers(1, 40), st.integers(1, 8))
def test_shares_are_a_partition(whole: int, world: int) -> None:
    if whole < world:
        with pytest.raises(ConfigError, match="cannot be shared"):
            ranks.share_of(whole, 0, world)
        return
    shares = [ranks.share_of(whole, rank, world) for rank in range(world)]
    assert [slot for share in shares for slot in range(share.first, share.first + share.size)] == list(range(whole))
    assert max(share.size for share in shares) - min(share.size for share in shares) <= 1


def test_probabilistic_oversampling_is_left_to_nnunet() -> None:
    class Loader:
        sampling_probabilities = None
        indices = ("a", "b")

        def __init__(self) -> None:
            self.get_do_oversample = self._probabilistic_oversampling

        def _probabilistic_oversampling(self, sample: int) -> bool:
            return bool(np.random.uniform() < 0.5)

    placed = [stream.PlacedLoader(Loader(), 1, stream.Phase.TRAIN, Share(0, 64, 64), 0.33, True) for _ in range(2)]
    answers = [[one._needs_foreground(sample) for sample in range(64)] for one in placed]
    assert answers[0] == answers[1]
    assert 10 < sum(answers[0]) < 54


def test_a_seed_below_zero() -> None:
    with pytest.raises(ConfigError, match="negative"):
        stream.check_seed(-1)
