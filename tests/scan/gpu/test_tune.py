"""The measured choice of a configuration: every candidate gives the same bits, sums are not disturbed by measuring."""

import torch

from medmamba.scan import triton
from medmamba.scan.orders import Order
from tests.scan.gpu.test_launch import draw


def test_every_configuration_gives_the_same_bits(kernel_device, monkeypatch):
    from medmamba.scan.gpu import launch, tune

    s, _ = draw((1, 6, 64, 2), (Order(), Order(reverse=True)), kernel_device)
    monkeypatch.setattr(tune, "WORTH_MEASURING", 0)
    runs = []
    for wanted in range(len(tune.FORWARD)):
        measured = []

        def bench(call, quantiles, wanted=wanted, measured=measured):
            call()
            measured.append(call)
            return [float(len(measured) % len(tune.FORWARD) != (wanted + 1) % len(tune.FORWARD))] * 3

        monkeypatch.setattr(launch, "_scan", tune.Tuned(launch.scan_segment, tune.FORWARD, ["D", "LAST"], bench))
        y, last, kept = triton.forward(s, keep_states=True)
        assert len(measured) == 2 * len(tune.FORWARD)  # for the first and for the last direction
        assert launch._scan.fastest.best_config is launch._scan.fastest.configs[wanted]
        runs.append((y, last, kept))
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], run, strict=True))


def test_two_channels_a_lane_only_where_they_fill_it(kernel_device):
    from medmamba.scan.gpu.tune import FORWARD, wide_enough

    assert len(wide_enough(list(FORWARD), {"D": 96}, N=16)) == 2
    assert len(wide_enough(list(FORWARD), {"D": 128}, N=16)) == 3
    assert len(wide_enough(list(FORWARD), {"D": 128}, N=32)) == 2


def test_little_work_measures_nothing_and_decides_nothing(kernel_device, monkeypatch):
    from medmamba.scan.gpu import launch, tune

    def bench(call, quantiles):
        raise AssertionError

    scan = tune.Tuned(launch.scan_segment, tune.FORWARD, ["D", "LAST"], bench)
    monkeypatch.setattr(launch, "_scan", scan)
    triton.forward(draw((1, 6, 64, 2), (Order(),), kernel_device)[0], keep_states=False)
    assert not scan.fastest.cache
    assert scan.of(tune.WORTH_MEASURING) is scan.fastest
