"""One network in one form: with or without its scans, in torch or in the engine, in one precision."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .subjects import PLAIN, Subject
from .timing import Task, timed

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}

BUDGET = 20.0
"""Seconds after which a form of a network runs no more rounds."""


@dataclass(frozen=True)
class Contender:
    """What is measured. All of it can be said in JSON."""

    subject: Subject
    mixer: str
    """mamba, conv, or nothing for the plain U-Net."""
    engine: bool
    """In `medmamba.engine`'s form, else plain torch (under autocast for half precisions)."""
    precision: str
    """fp32, bf16, fp16."""
    batch: int = 1
    reuse: bool = False
    """In a process that keeps freed memory, see `medmamba.engine.reuse_memory`."""

    @property
    def how(self) -> str:
        """`torch fp32`, `autocast bf16`, `engine bf16`, `engine bf16 +`."""
        kind = "engine" if self.engine else "torch" if self.precision == "fp32" else "autocast"
        return f"{kind} {self.precision}{' +' if self.reuse else ''}"

    def as_json(self) -> dict[str, Any]:
        """Its fields; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Contender":
        """The contender of those fields."""
        fields = dict(fields)
        subject = fields.pop("subject")
        return cls(Subject(**{**subject, "patch": tuple(subject["patch"])}), **fields)

    def network(self, device: torch.device) -> nn.Module:
        """The network with random weights in evaluation mode, before the engine."""
        return self.subject.build(self.mixer).to(device).eval()


class Trial:
    """A contender, built on a device. `network`: weights shared with others, built if not given."""

    def __init__(self, contender: Contender, device: torch.device, network: nn.Module | None = None) -> None:
        self.contender, self.device = contender, device
        self.network = network or contender.network(device)
        self.inputs = contender.subject.inputs(contender.batch, device)
        self.fast: Callable[..., Any] = self.network
        if contender.engine:
            from ..engine import accelerate

            self.fast = accelerate(self.network, AUTOCAST[contender.precision] or torch.float32)

    def parameters(self) -> int:
        """How many numbers the network has learnt."""
        return sum(p.numel() for p in self.network.parameters())

    def _cast(self) -> AbstractContextManager[Any]:
        dtype = None if self.contender.engine else AUTOCAST[self.contender.precision]
        return torch.autocast(self.device.type, dtype) if dtype else nullcontext()

    def forward(self) -> Tensor:
        """Inference; the first output."""
        with torch.no_grad(), self._cast():
            return _first(self.fast(*self.inputs))

    def step(self, optimizer: torch.optim.Optimizer) -> Tensor:
        """A training step: forward, backward from the mean square of the output, update."""
        optimizer.zero_grad(set_to_none=True)
        with self._cast():
            loss = _first(self.network(*self.inputs)).float().square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def optimizer(self) -> torch.optim.Optimizer:
        """nnU-Net's, with a rate that leaves the weights as they are, so that every step does the same work."""
        return torch.optim.SGD(self.network.parameters(), 1e-12, momentum=0.99, nesterov=True)

    def task(self, train: bool) -> Task:
        """Seconds of a forward, wall (`forward`) and CPU (`forward_cpu`), and of a training step (`train`)."""
        optimizer = self.optimizer() if train else None

        def once() -> dict[str, float]:
            started = time.process_time()
            seconds = {"forward": timed(self.forward, self.device)[1]}
            seconds["forward_cpu"] = time.process_time() - started
            if optimizer is not None:
                self.network.train()
                seconds["train"] = timed(lambda: self.step(optimizer), self.device)[1]
                self.network.eval()
                optimizer.zero_grad(set_to_none=True)
            return seconds

        return once


def _first(output: Any) -> Tensor:
    """The output, or the first of several."""
    return output if isinstance(output, Tensor) else _first(output[0])


def contenders(subject: Subject, dtypes: Sequence[str], batch: int, device: torch.device) -> list[Contender]:
    """Every form of a network that makes sense on the device: mixers and precisions; on a CPU the engine beside torch.

    The engine takes part in its own types, and once more in a process that keeps its memory.
    """
    forms: list[Contender] = []
    dtypes = sorted(dtypes, key=list(AUTOCAST).index)  # fp32 first: it is what errors are taken against
    for mixer in ("",) if subject.name == PLAIN else ("mamba", "conv"):
        forms += [Contender(subject, mixer, False, dtype, batch) for dtype in dtypes]
        if device.type == "cpu":
            fast = [dtype for dtype in dtypes if dtype != "fp16"]
            forms += [Contender(subject, mixer, True, dtype, batch) for dtype in fast]
            forms += [Contender(subject, mixer, True, dtype, batch, reuse=True) for dtype in fast]
    return forms
