"""Who takes part in `medmamba bench scan`: every path of ours, its directions, and the peers."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConfigError
from ..scan import directional_scan, mamba_ssm, selective_scan
from ..scan.dispatch import PATHS, REFERENCE, VARIABLE
from . import compositions, peers
from .peers import Work
from .workloads import THREE, ScanCase

NO_LIMIT = 2**62
SLOW = 2**23
"""Elements per call for those that need seconds for the real thing; their rate is what is compared."""
_LIMITS = {"chunked": 2**25, REFERENCE: 2**21}
"""Elements per call for our own slow paths; the reference's gradient grows with the square of L."""


@dataclass(frozen=True)
class Entrant:
    """One way to compute a scan, timed."""

    name: str
    directions: tuple[str, ...]
    prepare: Callable[[ScanCase], Work]
    most: int = NO_LIMIT
    """Elements per call."""
    absent: str = ""
    """Why it cannot run here."""
    ours: bool = True


@contextmanager
def forced(path: str) -> Iterator[None]:
    """Our scan takes this path while the block runs."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = path
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def _ours(path: str) -> Callable[[ScanCase], Work]:
    def prepare(case: ScanCase) -> Work:
        leaves = case.stacked()

        def call() -> Tensor:
            with forced(path):
                return directional_scan(**leaves, delta_softplus=True, directions=case.directions, nslices=case.nslices)

        return Work(call, leaves, case.dy)

    return prepare


def _forward_rows(path: str) -> Callable[[dict[str, Tensor]], Tensor]:
    """One forward scan of (B, L, D) tensors by one of our paths."""

    def scan(tensors: dict[str, Tensor]) -> Tensor:
        with forced(path):
            y = selective_scan(
                **tensors, delta_softplus=True, direction="forward", nslices=None, return_last_state=False
            )
        assert isinstance(y, Tensor)
        return y

    return scan


def entrants(device: torch.device, dtype: torch.dtype, directions: int, compiled: bool = True) -> tuple[Entrant, ...]:
    """Everyone for scans in one or in three directions, those that cannot run here included, with the reason.

    `compiled`: let torch.compile take part, whose compiler needs a minute.
    """
    if directions not in (1, 3):
        raise ConfigError(f"The benchmark knows scans in 1 and in 3 directions, not in {directions}.", "Give 1 or 3.")
    kernel = mamba_ssm.usable(device, dtype)
    order = ("forward",) if directions == 1 else THREE
    paths = [(path.name, path.usable(device, dtype)) for path in PATHS if not path.only_when_asked] + [(REFERENCE, "")]
    ours = [Entrant(name, order, _ours(name), _LIMITS.get(name, NO_LIMIT), why) for name, why in paths]
    best = next(entrant.name for entrant in ours if not entrant.absent)
    most = _LIMITS.get(best, NO_LIMIT)
    if directions == 3:
        return (
            *(entrant for entrant in ours if entrant.name != REFERENCE),
            Entrant(f"{best} + copies", order, compositions.flip_and_copy(_forward_rows(best)), most),
            Entrant("mamba-ssm + copies", order, compositions.kernel, absent=kernel, ours=False),
        )
    turned = [Entrant(f"{best} {way}", (way,), _ours(best), most) for way in ("reverse", "interslice")]
    place = next(i for i, entrant in enumerate(ours) if entrant.name == best) + 1
    return (*ours[:place], *turned, *ours[place:], *_peers(device, dtype, compiled))


def _peers(device: torch.device, dtype: torch.dtype, compiled: bool) -> Iterator[Entrant]:
    forward, kernel = ("forward",), mamba_ssm.usable(device, dtype)
    yield Entrant("mambapy pscan", forward, peers.mambapy, SLOW, peers.mambapy_absent(), False)
    yield Entrant("compiled chunk", forward, peers.compiled_chunk, SLOW, peers.compile_absent(device, compiled), False)
    yield Entrant("step loop", forward, peers.step_loop, SLOW, "", False)
    yield Entrant("mamba-ssm", forward, compositions.kernel, absent=kernel, ours=False)
