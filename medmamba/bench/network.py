"""`medmamba bench network`: seconds per patch and peak memory of whole networks, beside twins without a scan."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from .. import runtime
from ..errors import ConfigError
from . import child, machine
from .accuracy import relative
from .contenders import AUTOCAST, BUDGET, Contender, Trial, contenders
from .network_report import NetworkOptions, NetworkReport, NetworkRow
from .report import Tell
from .shares import profiled
from .subjects import PLAIN, SUBJECTS, Subject, plain_for, subject
from .timing import Timing, current, interleaved, threads

ENGINE_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}
"""Environment in which a process keeps what it frees."""


def run(options: NetworkOptions, device: torch.device, tell: Tell = lambda text: None) -> NetworkReport:
    """Measure. Raises ConfigError for a network, type or patch that is unknown."""
    unknown = [dtype for dtype in options.dtypes if dtype not in AUTOCAST]
    if unknown:
        raise ConfigError(f"There is no type {unknown[0]!r}.", f"Choose from {', '.join(AUTOCAST)}.")
    if not options.dtypes:
        options = replace(options, dtypes=natural_dtypes(device))
    if options.train is None:
        options = replace(options, train=device.type == "cuda")
    wanted = [subject(name).at(options.patch) for name in options.nets or [one.name for one in SUBJECTS]]
    rows: list[NetworkRow] = []
    with threads(options.threads) as count, current(device), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in wanted:
            group = [one, *([] if one.name == PLAIN else [plain_for(one)])]
            rows += _group(group, options, device, count, tell)
    return NetworkReport(machine.describe(device, count), tuple(rows))


def _group(
    group: Sequence[Subject], options: NetworkOptions, device: torch.device, threads: int, tell: Tell
) -> list[NetworkRow]:
    """A network in all its forms and the plain U-Net, timed in turn."""
    forms = [form for one in group for form in contenders(one, options.dtypes, options.batch, device)]
    here = [form for form in forms if not form.reuse]
    name = f"{group[0].name} {'x'.join(map(str, group[0].patch))}"
    tell(f"{name}: building {len(here)} forms")
    networks: dict[tuple[Subject, str], nn.Module] = {}
    trials: dict[Contender, Trial] = {}
    for form in here:
        key = form.subject, form.mixer
        networks[key] = networks.get(key) or form.network(device)
        trials[form] = Trial(form, device, networks[key])
    tell(f"{name}: timing")
    tasks = {str(i): trial.task(_trains(form, options)) for i, (form, trial) in enumerate(trials.items())}
    timings, failed = interleaved(tasks, options.repeats, BUDGET)
    tell(f"{name}: where the time goes")
    exact: dict[tuple[Subject, str], torch.Tensor] = {}
    rows = {}
    for i, (form, trial) in enumerate(trials.items()):
        row = NetworkRow(form, group[0].name, trial.parameters(), timings.get(str(i), {}))
        absent = failed.get(str(i), "")
        rows[form] = replace(row, absent=absent) if absent else _examined(row, trial, exact)
    trials.clear()
    networks.clear()
    tell(f"{name}: memory")
    return _completed(forms, rows, options, device, threads)


def _examined(row: NetworkRow, trial: Trial, exact: dict[tuple[Subject, str], torch.Tensor]) -> NetworkRow:
    """The row with shares and error; `exact` holds the outputs in torch fp32, which come first."""
    form = row.contender
    key = form.subject, form.mixer
    y, shares = profiled(trial.forward, trial.device)
    if form.precision == "fp32" and not form.engine:
        exact[key] = y.double()
    return replace(row, shares=shares, error=relative(y, exact[key]) if key in exact else None)


def natural_dtypes(device: torch.device) -> tuple[str, ...]:
    """fp32 and, on a GPU or a CPU with units for it, bf16: without them it takes many times as long."""
    halves = device.type == "cuda" or any("bf16" in flag for flag in runtime.cpu_flags())
    return ("fp32", "bf16") if halves else ("fp32",)


def _trains(form: Contender, options: NetworkOptions) -> bool:
    return bool(options.train) and not form.engine


def _completed(
    forms: Sequence[Contender], rows: Mapping[Contender, NetworkRow], options: NetworkOptions, device: torch.device,
    threads: int,
) -> list[NetworkRow]:  # fmt: skip
    """The rows with their memory, and those that need a process of their own."""
    here = [form for form, row in rows.items() if not row.absent]
    jobs = [child.job("network", device, threads, form=f.as_json(), train=_trains(f, options)) for f in here]
    memories = dict(zip(here, child.run(jobs, device), strict=True))
    apart = [form for form in forms if form.reuse and replace(form, reuse=False) in memories]
    jobs = [child.job("speed", device, threads, form=f.as_json(), repeats=options.repeats) for f in apart]
    speeds = dict(zip(apart, child.run(jobs, device, ENGINE_MEMORY), strict=True))
    complete = []
    for form in forms:
        if form in rows:
            complete.append(replace(rows[form], memory=memories.get(form, {})))
        elif speeds.get(form):
            timings = {part: Timing(**one) for part, one in speeds[form].items()}
            complete.append(replace(rows[replace(form, reuse=False)], contender=form, timings=timings))
    return complete
