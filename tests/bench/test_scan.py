import json

import pytest
import torch

from medmamba.bench import child, scan
from medmamba.bench.entrants import Entrant
from medmamba.bench.report import ScanOptions, ScanReport
from medmamba.errors import ConfigError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def report() -> ScanReport:
    return scan.run(ScanOptions(workloads=("segmamba-2", "gate"), quick=True, threads=1), CPU)


def test_every_row_has_figures_or_a_reason(report: ScanReport) -> None:
    names = {row.name for row in report.rows}
    assert {"chunked", "reference", "step loop", "mambapy pscan", "compiled chunk", "mamba-ssm"} <= names
    assert {row.workload for row in report.rows} == {"segmamba-2", "gate"}
    for row in report.rows:
        assert bool(row.absent) != bool(row.timings)
        if row.timings:
            assert set(row.timings) == {"forward", "train_forward", "backward"}
            assert all(one.minimum > 0 and one.median >= one.minimum for one in row.timings.values())
            assert row.errors["y"] < 1e-6 and row.errors["gradients"] < 1e-5
            assert row.rate("forward") == pytest.approx(row.elements / row.timings["forward"].minimum)
            assert (row.fraction("forward") or 0) > 0 and (row.fraction("backward") or 0) > 0
            assert set(row.memory) == {"forward", "stored", "training"}


def test_three_directions_where_a_network_has_three(report: ScanReport) -> None:
    assert {row.workload for row in report.rows if len(row.directions) == 3} == {"segmamba-2"}
    assert any("+ copies" in row.name and row.timings for row in report.rows)


def test_the_report_is_json(report: ScanReport) -> None:
    content = json.loads(json.dumps(report.as_json()))
    assert content["dtype"] == "fp32" and content["limits"]["exps"] > 0 and content["versions"]["torch"]
    row = next(row for row in content["rows"] if row["name"] == "chunked")
    assert row["rates"]["training"] < row["rates"]["forward"]
    assert row["timings"]["forward"]["min_s"] > 0 and row["shape"]["length"] > 0


def test_memory_of_the_step_loop_is_that_of_its_tensors() -> None:
    options = ScanOptions(workloads=("gate",), only=("step loop",), repeats=1, threads=1, backward=False)
    row = scan.run(options, CPU).rows[0]
    whole = 4 * row.elements  # bytes of one (B, L, D, N) tensor: decays, inputs and one product on the way
    assert 2 * whole < (row.memory["forward"] or 0) < 4 * whole
    assert row.memory["training"] is None and set(row.timings) == {"forward"}


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started for memory, which takes seconds."""
    monkeypatch.setattr(child, "run", lambda jobs, device: [{"forward": place} for place, _ in enumerate(jobs)])


@pytest.mark.usefixtures("no_child")
def test_what_was_measured_once_is_not_measured_again() -> None:
    both = ("gate", "segmamba-0")
    options = ScanOptions(workloads=both, directions=1, only=("reference",), repeats=1, backward=False)
    gate, stage = scan.run(options, CPU).rows
    assert (gate.workload, stage.workload) == both
    assert gate.timings is stage.timings and gate.memory == stage.memory == {"forward": 0}


@pytest.mark.usefixtures("no_child")
def test_one_that_fails_leaves_the_others_their_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: object) -> None:
        raise ValueError("no luck\nat all")

    known = scan.entrants(CPU, torch.float32, 1)
    field = (Entrant("broken", ("forward",), broken), next(one for one in known if one.name == "step loop"))
    monkeypatch.setattr(scan, "entrants", lambda *a, **k: field)
    bad, good = scan.run(ScanOptions(workloads=("gate",), directions=1, quick=True), CPU).rows
    assert bad.absent == "failed: ValueError: no luck" and good.timings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ScanOptions(workloads=("nothing",)), "no scan workload 'nothing'"),
        (ScanOptions(dtype="fp8"), "no type 'fp8'"),
        (ScanOptions(only=("nobody",)), "Nobody of that name: nobody"),
        (ScanOptions(directions=2), "not in 2"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(options: ScanOptions, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        scan.run(options, CPU)
