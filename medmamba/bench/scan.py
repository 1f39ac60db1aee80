"""`medmamba bench scan`: time, rate, memory and error of a scan, ours and others', in one process."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import torch

from ..errors import ConfigError
from . import child, machine
from .accuracy import differentiate, errors_of
from .entrants import Entrant, entrants
from .machine import Limits
from .peers import Work
from .report import DTYPES, Row, ScanOptions, ScanReport, Tell
from .timing import Task, Timing, current, interleaved, reason, threads, timed
from .workloads import ScanCase, Workload, chosen, make_case

_BUDGET = 4.0
"""Seconds after which an entrant runs no more rounds."""


def run(options: ScanOptions, device: torch.device, tell: Tell = lambda text: None) -> ScanReport:
    """Measure. `tell` hears what is being done. Raises ConfigError for a workload, type or entrant that is unknown."""
    if options.dtype not in DTYPES:
        raise ConfigError(f"There is no type {options.dtype!r}.", f"Choose one of {', '.join(DTYPES)}.")
    shapes = chosen(list(options.workloads))
    if options.quick:
        shapes = tuple(shape.within(2**18) for shape in shapes)
    wanted = (1, 3) if options.directions is None else (options.directions,)
    fields = {count: _field(options, device, count) for count in wanted}
    if not any(fields.values()):
        raise ConfigError(f"Nobody of that name: {', '.join(options.only)}.", "See the names in the whole table.")
    with threads(options.threads) as count, current(device), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ours that are slow say so, which is no news here
        tell("limits of this machine")
        limits = machine.limits(device, count, 0.02 if options.quick else 0.2)
        bench = _Bench(options, device, limits, tell)
        rows = [
            row
            for shape in shapes
            for number, field in fields.items()
            if number == 1 or shape.three or options.directions == number
            for row in bench.rows(shape, field)
        ]
        tell("memory")
        rows = _with_memory(rows, options, device, count)
    return ScanReport(machine.describe(device, count), limits, options.dtype, tuple(rows))


def _field(options: ScanOptions, device: torch.device, directions: int) -> list[Entrant]:
    """Those who take part."""
    return [
        entrant
        for entrant in entrants(device, DTYPES[options.dtype], directions, compiled=not options.quick)
        if (options.peers or entrant.ours) and (not options.only or any(part in entrant.name for part in options.only))
    ]


class _Bench:
    """Measures one workload after the other. What has been measured once, as peers on a shorter L are, stays known."""

    def __init__(self, options: ScanOptions, device: torch.device, limits: Limits, tell: Tell) -> None:
        self.options, self.device, self.limits, self.tell = options, device, limits, tell
        self.dtype = DTYPES[options.dtype]
        self.known: dict[tuple[object, ...], Row] = {}

    def rows(self, shape: Workload, field: Sequence[Entrant]) -> list[Row]:
        """A row for each entrant, all but its memory."""
        fresh = [entrant for entrant in field if self._key(shape, entrant) not in self.known]
        absent = {entrant.name: entrant.absent for entrant in fresh if entrant.absent}
        works, errors = self._prepared(shape, [entrant for entrant in fresh if not entrant.absent], absent)
        self.tell(f"{shape.name}: timing")
        tasks = {name: self._task(work) for name, work in works.items()}
        timings, failed = interleaved(tasks, 2 if self.options.quick else self.options.repeats, _BUDGET)
        absent |= failed
        for entrant in fresh:
            name = entrant.name
            self.known[self._key(shape, entrant)] = (
                Row(shape.name, name, entrant.directions, shape, absent=absent[name])
                if name in absent
                else self._row(shape, entrant, timings[name], errors[name])
            )
        return [replace(self.known[self._key(shape, entrant)], workload=shape.name) for entrant in field]

    def _key(self, shape: Workload, entrant: Entrant) -> tuple[object, ...]:
        cut = shape.within(entrant.most)
        return entrant.name, entrant.directions, cut.batch, cut.length, cut.channels, cut.states, cut.slices

    def _prepared(
        self, shape: Workload, present: Sequence[Entrant], absent: dict[str, str]
    ) -> tuple[dict[str, Work], dict[str, dict[str, float]]]:
        """Work and errors by entrant; who fails is noted in `absent`. Those of one length share the tensors."""
        cases: dict[tuple[Workload, tuple[str, ...]], ScanCase] = {}
        works, errors = {}, {}
        for entrant in present:
            self.tell(f"{shape.name}: {entrant.name}")
            key = shape.within(entrant.most), entrant.directions
            if key not in cases:
                cases[key] = make_case(*key, self.dtype, self.device)
            try:
                errors[entrant.name] = errors_of(entrant, shape, self.dtype, self.device)
                works[entrant.name] = entrant.prepare(cases[key])
            except Exception as error:  # a peer may fail in any way, and the others' figures are wanted all the same
                absent[entrant.name] = reason(error)
        return works, errors

    def _row(
        self, shape: Workload, entrant: Entrant, timings: Mapping[str, Timing], errors: Mapping[str, float]
    ) -> Row:
        cut, count, bytes_each = shape.within(entrant.most), len(entrant.directions), self.dtype.itemsize
        bound = {
            "forward": self.limits.forward(cut, count, bytes_each),
            "backward": self.limits.backward(cut, count, bytes_each),
        }
        return Row(shape.name, entrant.name, entrant.directions, cut, "", timings, bound, {}, errors)

    def _task(self, work: Work) -> Task:
        """Forward without gradients; then forward and backward, each timed."""

        def task() -> dict[str, float]:
            with torch.no_grad():
                seconds = {"forward": timed(work.call, self.device)[1]}
            if self.options.backward:
                y, seconds["train_forward"] = timed(work.call, self.device)
                seconds["backward"] = timed(lambda: differentiate(work, y), self.device)[1]
            return seconds

        return task


def _with_memory(rows: Sequence[Row], options: ScanOptions, device: torch.device, threads: int) -> list[Row]:
    """The rows with their peak memory, each thing measured once."""
    jobs = [
        None if row.absent else child.job(
            "scan", device, threads, workload=asdict(row.shape), entrant=row.name, directions=len(row.directions),
            dtype=options.dtype, backward=options.backward,
        )
        for row in rows
    ]  # fmt: skip
    wanted = [job for place, job in enumerate(jobs) if job and job not in jobs[:place]]
    peaks = child.run(wanted, device)
    return [replace(row, memory=peaks[wanted.index(job)]) if job else row for row, job in zip(rows, jobs, strict=True)]
