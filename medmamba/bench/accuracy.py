"""Errors of outputs and gradients, against our reference in float64."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from ..scan import directional_scan
from ..scan.dispatch import REFERENCE
from .entrants import Entrant, forced
from .peers import Work
from .workloads import ScanCase, Workload, make_case

_SHORT = 128
"""Positions of the case on which errors are taken."""


def differentiate(work: Work, y: Tensor) -> tuple[Tensor, ...]:
    """The gradients of y . dy by all leaves."""
    return torch.autograd.grad(y, tuple(work.leaves.values()), work.dy)


def evaluate(work: Work) -> dict[str, Tensor]:
    """y and the gradients by the names of the case's tensors."""
    y = work.call()
    gradients = dict(zip(work.leaves, differentiate(work, y), strict=True))
    return {"y": work.output(y.detach()), **work.gradients(gradients)}


def relative(found: Tensor, wanted: Tensor) -> float:
    """||found - wanted|| / ||wanted||."""
    return float((found.double() - wanted).norm() / wanted.norm())


def errors_of(entrant: Entrant, shape: Workload, dtype: torch.dtype, device: torch.device) -> dict[str, float]:
    """Relative errors of y and of the worst of the gradients, on a short case with the channels of `shape`."""
    short = replace(shape, length=min(_SHORT, shape.length), slices=math.gcd(shape.length, 4))
    case = make_case(short, entrant.directions, dtype, device)
    found, wanted = evaluate(entrant.prepare(case)), _oracle(case)
    worst = max(relative(found[name], wanted[name]) for name in wanted if name != "y")
    return {"y": relative(found["y"], wanted["y"]), "gradients": worst}


def _oracle(case: ScanCase) -> dict[str, Tensor]:
    """y and gradients of the reference in float64."""
    exact = case.double()
    leaves = exact.stacked()

    def call() -> Tensor:
        with forced(REFERENCE):
            return directional_scan(**leaves, delta_softplus=True, directions=case.directions, nslices=case.nslices)

    return evaluate(Work(call, leaves, exact.dy))
