"""The measurement of peak memory against blocks whose size is known."""

import sys

import pytest
import torch

from medmamba.bench import child, memory

CPU = torch.device("cpu")
MIB = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="the mark of resident memory is reset on Linux only")


@linux
def test_known_blocks_large_and_small_in_any_order() -> None:
    sizes = [4, 256, 1, 16, 1]
    jobs = [child.job("block", CPU, 1, size=size * MIB) for size in [1, *sizes]]  # the first one loads code
    found = [one["forward"] / MIB for one in child.run(jobs, CPU)][1:]
    assert found == pytest.approx(sizes, abs=0.4)


@linux
def test_blocks_at_once_count_together_and_freed_ones_do_not() -> None:
    jobs = [child.job("blocks", CPU, 1, size=64 * MIB)] * 2
    assert child.run(jobs, CPU)[1]["forward"] / MIB == pytest.approx(128, abs=1)


def test_a_job_that_fails_costs_its_own_figure_alone() -> None:
    jobs = [child.job("block", CPU, 1, size=MIB), child.job("nonsense", CPU, 1), child.job("block", CPU, 1, size=MIB)]
    assert [bool(found) for found in child.run(jobs, CPU)] == [True, False, True]


def test_a_job_that_kills_the_process_costs_its_own_figure_alone() -> None:
    jobs = [child.job("block", CPU, 1, size=MIB), child.job("death", CPU, 1), child.job("block", CPU, 1, size=MIB)]
    assert [bool(found) for found in child.run(jobs, CPU)] == [True, False, True]


def test_nothing_to_do_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child.subprocess, "run", lambda *a, **k: pytest.fail("a process was started"))
    assert child.run([], CPU) == []


def test_no_measurement_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not memory.measurable(torch.device("mps"))
    assert child.run([child.job("block", torch.device("mps"), 1, size=1)], torch.device("mps")) == [{}]


def test_size_of_tensors() -> None:
    assert memory.size(torch.zeros(3), None, torch.zeros(2, dtype=torch.bfloat16)) == 16
