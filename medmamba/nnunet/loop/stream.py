"""Batches that depend on where in the run they stand, and on nothing else.

nnU-Net draws patches and augmentations from global random generators, so that a resumed run sees other data than an
undisturbed one. Here every sample of every batch has a place (phase, epoch, step, slot in the batch of all processes)
and the generators are seeded from the run's seed and that place before the sample is drawn. A run can therefore be
taken up anywhere, with any number of worker processes or GPUs, and sees what it would have seen.
"""

import itertools
import random
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ... import runtime
from ...errors import ConfigError, DataError
from ..batches import reason
from .deaths import DEATHS

_PREFETCHED = 2
"""Batches that each worker process keeps ready."""


class Phase(IntEnum):
    """What a batch, or a random draw, is for."""

    TRAIN = 0
    VALIDATION = 1
    PICTURE = 2
    STEP = 3


def random_words(seed: int, *place: int) -> tuple[int, int]:
    """Two independent 32-bit numbers that belong to a place of the run with that seed."""
    first, second = np.random.SeedSequence([seed, *place]).generate_state(2)
    return int(first), int(second)


def seed_generators(seed: int, *place: int) -> None:
    """Put Python's, numpy's and torch's CPU generator into the state that belongs to a place of the run."""
    first, second = random_words(seed, *place)
    random.seed(first)
    np.random.seed(first)
    torch.default_generator.manual_seed(second)


@dataclass(frozen=True)
class Share:
    """The part of each batch that one process makes."""

    first: int
    """Slot of its first sample in the batch of all processes."""
    size: int
    whole: int
    """Samples in the batch of all processes."""


class PlacedLoader(Dataset[dict[str, Any]]):
    """nnU-Net's data loader, asked for the batch of a place.

    Parameters
    ----------
    loader: an nnUNetDataLoader whose batch size is `share.size`. It is changed: its two random decisions, which case
        and whether the patch must hold foreground, are taken here, where the generators are seeded for each sample.
    foreground: share (0 to 1) of the whole batch that must hold foreground; the last slots do, as nnU-Net has it.
    """

    def __init__(self, loader: Any, seed: int, phase: Phase, share: Share, foreground: float, shared: bool) -> None:
        self._loader = loader
        self._seed = seed
        self._phase = phase
        self._share = share
        self._random_slots = round(share.whole * (1 - foreground))
        self._foreground_rule = loader.get_do_oversample if loader_decides(loader) else None
        self._shared = shared
        self._place = (0, 0)
        loader.get_indices = self._cases
        loader.get_do_oversample = self._needs_foreground

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any]:
        """The batch (data (B, C, ...), target, keys) of (epoch, step). DataError names a case that cannot be read."""
        self._place = place
        try:
            batch = self._loader.generate_train_batch()
        except Exception as error:
            blame(self._loader._data, sorted(set(self._cases())), error)
            raise
        # tensors travel between processes through /dev/shm, arrays through a pipe
        return batch if self._shared else as_arrays(batch)

    def _slot(self, sample: int) -> tuple[int, ...]:
        return (int(self._phase), *self._place, self._share.first + sample)

    def _cases(self) -> list[str]:
        names = self._loader.indices
        chances = self._loader.sampling_probabilities
        draws = (np.random.default_rng([self._seed, *self._slot(sample)]) for sample in range(self._share.size))
        return [names[draw.choice(len(names), p=chances)] for draw in draws]

    def _needs_foreground(self, sample: int) -> bool:
        seed_generators(self._seed, *self._slot(sample))  # nnU-Net asks this first of all for each sample
        if self._foreground_rule is not None:
            return bool(self._foreground_rule(sample))
        return self._share.first + sample >= self._random_slots


def loader_decides(loader: Any) -> bool:
    """Whether an nnU-Net loader draws at random which patches must hold foreground (probabilistic oversampling)."""
    rule = loader.get_do_oversample
    return getattr(rule, "__name__", "") == "_probabilistic_oversampling"


class _Places(Sampler[tuple[int, int]]):
    """(epoch, step), (epoch, step + 1), ..., (epoch + 1, 0), ... without end."""

    def __init__(self, epoch: int, step: int, steps: int) -> None:
        self._start = (epoch, step, steps)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, step, steps = self._start
        yield from ((epoch, later) for later in range(step, steps))
        for later in itertools.count(epoch + 1):
            yield from ((later, step) for step in range(steps))


class Stream:
    """An endless row of batches from a place on, made in worker processes or in this one.

    When a worker process dies, the stream goes on in this process at the same batch and says so in `complaint`.

    Attributes
    ----------
    waited: seconds in which the last `next` kept its caller waiting.
    complaint: what went wrong with the worker processes, in one sentence; empty as a rule.
    """

    def __init__(self, batches: Dataset[dict[str, Any]], steps: int, workers: int, pinned: bool) -> None:
        self._batches = batches
        self._steps = steps
        self._workers = workers
        self._pinned = pinned
        self.waited = 0.0
        self.complaint = ""
        self.seek(0, 0)

    def seek(self, epoch: int, step: int) -> None:
        """Let the next batch be the one of (epoch, step)."""
        self._next = (epoch, step)
        self._rows: Iterator[dict[str, Any]] | None = None

    def __next__(self) -> dict[str, Any]:
        started = time.perf_counter()
        try:
            batch = self._fetch()
        except Exception as error:  # of what fails in a worker torch keeps kind and text; here it shows what it is
            if "DataLoader worker" not in str(error):
                raise
            self.give_up_workers(str(error))
            batch = self._fetch()
        epoch, step = self._next
        self._next = (epoch, step + 1) if step + 1 < self._steps else (epoch + 1, 0)
        self.waited = time.perf_counter() - started
        return batch

    def give_up_workers(self, reason: str) -> None:
        """Make batches in this process from now on."""
        self.complaint = f"A worker process that prepared data died ({reason.splitlines()[0]})"
        self._workers = 0
        self.seek(*self._next)

    def peek(self, place: tuple[int, int]) -> dict[str, Any]:
        """The batch of another place, made here and now. The generators are as before afterwards."""
        state = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
        try:
            return _as_tensors(self._batches[place])
        finally:
            random.setstate(state[0])
            np.random.set_state(state[1])
            torch.default_generator.set_state(state[2])

    def close(self) -> None:
        """End the worker processes."""
        self._rows = None

    def _fetch(self) -> dict[str, Any]:
        with DEATHS.told():
            if self._rows is None:
                self._rows = iter(self._loader())
                DEATHS.take_over()
            return _as_tensors(next(self._rows))

    def _loader(self) -> "DataLoader[dict[str, Any]]":
        several = {"prefetch_factor": _PREFETCHED} if self._workers else {}
        return DataLoader(
            self._batches,
            batch_size=None,
            sampler=_Places(*self._next, self._steps),
            num_workers=self._workers,
            pin_memory=self._pinned,
            collate_fn=_as_it_is,
            worker_init_fn=_leave_signals_alone,
            **several,  # type: ignore[arg-type]
        )


def _leave_signals_alone(worker: int) -> None:
    """A worker process ends when it is told to, whatever the main process makes of signals."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _as_it_is(batch: Any) -> Any:
    return batch


def as_arrays(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch with arrays in place of tensors: these travel between processes through a pipe."""
    return {key: _changed(value, lambda one: one.numpy(), torch.Tensor) for key, value in batch.items()}


def _as_tensors(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _changed(value, torch.from_numpy, np.ndarray) for key, value in batch.items()}


def _changed(value: Any, change: Any, kind: type) -> Any:
    if isinstance(value, kind):
        return change(value)
    return [_changed(one, change, kind) for one in value] if isinstance(value, list) else value


def blame(dataset: Any, cases: Iterable[str], error: Exception) -> None:
    """DataError when one of these cases of an nnU-Net dataset cannot be read, which then explains the error."""
    for case in cases:
        try:
            data, target, *_ = dataset.load_case(case)
            np.asarray(data), np.asarray(target)
        except Exception as failure:
            raise DataError(
                f"The preprocessed case {case} cannot be read: {reason(failure)}.", "Preprocess the dataset again."
            ) from error


def fits_shared_memory(shapes: Sequence[tuple[int, ...]], workers: int) -> bool:
    """Whether the float32 batches of these shapes that `workers` processes keep ready fit twice into /dev/shm."""
    free = runtime.shared_memory()
    if free is None:
        return True
    batch = sum(4 * int(np.prod(shape)) for shape in shapes)
    return 2 * batch * workers * (_PREFETCHED + 1) < free


def check_seed(seed: int | None) -> int:
    """The seed of a run; None: a new one. ConfigError when it is negative."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if seed < 0:
        raise ConfigError(f"--seed {seed} is negative.", "Use a number from 0.")
    return seed
