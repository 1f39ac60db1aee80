"""Counts of work: orders of magnitude known from arithmetic by hand, and what must scale with what."""

import pytest

from medmamba.scan.gpu.workload import WORKLOADS, Workload, backward_cost, forward_cost

WORK = Workload("hand", channels=32, length=1000, states=16)


def test_forward_by_hand():
    cost = forward_cost(WORK, size=2)
    assert cost.exps == 32000 * 38
    assert cost.bytes == 2 * (6 * 32000 + 3 * 16000)


def test_training_adds_the_kept_states():
    added = forward_cost(WORK, 2, training=True).bytes - forward_cost(WORK, 2).bytes
    assert added == 4 * 32000 * 16 / 32


@pytest.mark.parametrize("work", WORKLOADS, ids=lambda w: w.name)
def test_the_backward_costs_more_and_half_types_move_less(work):
    assert backward_cost(work, 4).exps > forward_cost(work, 4).exps
    for cost in (forward_cost, backward_cost):
        assert cost(work, 2).bytes < cost(work, 4).bytes
        assert cost(work, 2).seconds <= cost(work, 4).seconds


def test_more_states_than_memory_can_hide_are_bound_by_exponentials():
    cost = forward_cost(Workload("wide", 96, 1000, 64), size=2)
    assert cost.seconds == pytest.approx(cost.exps / 4.18e12, rel=1e-2)
