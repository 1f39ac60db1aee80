"""A case on its way from files to a label map, and what is noted of it."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from .arrays.preprocess import Place
from .budget import Estimate, Plan, may_prepare
from .files.images import Geometry

Part = TypeVar("Part")


class Seconds(dict[str, float]):
    """Time by stage."""

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Add the time that the block takes to a stage."""
        started = time.perf_counter()
        yield
        self.add({stage: time.perf_counter() - started})

    def waiting(self, stage: str, parts: Iterator[Part]) -> Iterator[Part]:
        """The same parts; the time that they take to come is added to a stage."""
        while True:
            with self.of(stage):
                try:
                    part = next(parts)
                except StopIteration:
                    return
            yield part

    def add(self, more: Mapping[str, float]) -> None:
        """Add the times of another record."""
        for stage, seconds in more.items():
            self[stage] = self.get(stage, 0.0) + seconds


@dataclass(eq=False)
class Prepared:
    """A case in hand, from before its image is read until its label map is written."""

    name: str
    estimate: Estimate
    plan: Plan
    data: NDArray[np.float32] | None = None
    """(C, *size) preprocessed. In a cascade None until the earlier stage is done."""
    place: Place | None = None
    geometry: Geometry | None = None
    """Where the label map goes; None for an array."""
    warnings: tuple[str, ...] = ()
    seconds: Seconds = field(default_factory=Seconds)
    image: NDArray[np.float32] | None = None
    """In a cascade: the image as read."""
    spacing: tuple[float, ...] = ()
    previous: "Prepared | None" = None
    """In a cascade: the same case for the earlier stage."""


@dataclass(frozen=True)
class CaseNotes:
    """What was done with a case."""

    seconds: Mapping[str, float]
    """By stage: read, preprocess, network, export, write."""
    tiles: int
    """Of all folds and stages."""
    uniform_tiles: int
    """Of these, the ones of a single value whose output was known already."""
    warnings: tuple[str, ...]
    labels: tuple[int, ...]
    """Values in the label map that was written, background left out."""
    gpu_memory: int | None
    """Most bytes allocated on the GPU."""
    plan: str
    """How memory was used, in words."""
    estimate: int
    """Bytes that were expected to be resident at the peak."""


class InHand:
    """The cases that are being prepared, wait or are in the network: what they take in memory. For several threads.

    A case that is given up anywhere on its way counts no more once nobody holds it.
    """

    def __init__(self) -> None:
        self._cases: WeakSet[Prepared] = WeakSet()
        self._lock = threading.Lock()

    def add(self, case: Prepared) -> None:
        """Count a case."""
        with self._lock:
            self._cases.add(case)

    def remove(self, case: Prepared) -> None:
        """Count it no more."""
        with self._lock:
            self._cases.discard(case)

    def leave_room_for(self, following: Estimate, max_ram: int | None) -> bool:
        """Whether one more may be prepared."""
        with self._lock:
            cases = [(case.estimate, case.plan, case.data is not None) for case in self._cases]
        return may_prepare(cases, following, max_ram)
