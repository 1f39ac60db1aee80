from typing import Any

import pytest

from medmamba.nnunet.planning import planner
from medmamba.nnunet.planning.outlook import duration, outlooks
from tests.nnunet.planning.test_footprint import DATASET

Plans = dict[str, Any]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.034, "0.034 s"),
        (9.44, "9.4 s"),
        (11.2, "12 s"),
        (300, "5.0 min"),
        (9000, "2.5 h"),
        (1e6, "11.6 d"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_cpus_seconds_come_from_a_trial(stock_plans: Plans) -> None:
    stock_plans["configurations"] = {"3d_fullres": stock_plans["configurations"]["3d_fullres"]}
    limits = planner.Budget(4.0, "cpu", "for a test")
    planned = planner.plan(stock_plans, DATASET, "umamba-bot", "small", limits)
    (row,) = outlooks(planned, DATASET)
    assert row.seconds_per_step is not None and 0 < row.seconds_per_step < 600
    assert row.seconds_per_epoch == pytest.approx(row.seconds_per_step * (40 + 6 / 3))
    assert row.timing.startswith("one patch of")
    assert (row.stages, row.divisor, row.fits) == (
        len(planned["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["strides"]),
        (8, 8, 8),
        True,
    )


def test_without_a_trial_there_are_no_seconds(stock_plans: Plans) -> None:
    planned = planner.plan(stock_plans, DATASET, "lightm-unet", "small", planner.budget(8))
    assert {row.seconds_per_step for row in outlooks(planned, DATASET, trial=False)} == {None}


def test_pairs_are_timed_too(stock_plans: Plans) -> None:
    stock_plans["configurations"] = {"3d_fullres": stock_plans["configurations"]["3d_fullres"]}
    pair = {**DATASET, "channel_names": {"0": "MR", "1": "CT"}}
    planned = planner.plan(stock_plans, pair, "mambamorph", "small", planner.Budget(4.0, "cpu", "for a test"))
    (row,) = outlooks(planned, pair)
    assert (row.patch_size, row.batch_size, row.stages) == ((48, 64, 48), 1, 0)
    assert row.seconds_per_step is not None
