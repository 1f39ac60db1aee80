import json

import pytest
import torch

from medmamba import runtime
from medmamba.bench import network
from medmamba.bench.contenders import Contender, Trial, contenders
from medmamba.bench.network import natural_dtypes, run
from medmamba.bench.network_report import NetworkOptions, NetworkReport
from medmamba.bench.subjects import PLAIN, Subject, subject
from medmamba.errors import ConfigError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def report() -> NetworkReport:
    options = NetworkOptions(nets=("lightm-unet",), dtypes=("fp32",), patch="16", train=True, threads=1, repeats=1)
    return run(options, CPU)


def test_a_network_stands_beside_its_twin_and_the_plain_unet(report: NetworkReport) -> None:
    forms = [(row.contender.subject.name, row.contender.mixer, row.contender.how) for row in report.rows]
    ways = ["torch fp32", "engine fp32", "engine fp32 +"]
    names = [("lightm-unet", "mamba"), ("lightm-unet", "conv"), (PLAIN, "")]
    assert forms == [(*name, way) for name in names for way in ways]
    assert {row.group for row in report.rows} == {"lightm-unet"}


def test_figures_of_every_form(report: NetworkReport) -> None:
    for row in report.rows:
        plain = row.contender.how == "torch fp32"
        assert row.timings["forward"].minimum > 0 and row.timings["forward_cpu"].minimum > 0
        assert ("train" in row.timings) == plain
        assert row.error == 0 if plain else row.error is not None and row.error < 1e-2
        assert (row.shares["scan"] > 0) == (row.contender.mixer == "mamba")
        assert row.shares["convolution"] > 0
        if plain and row.memory["forward"] is not None:
            weights = 4 * row.parameters
            assert (row.memory["train"] or 0) > 2 * weights  # gradients and momentum
            assert row.memory["forward"] < weights
    assert report.rows[1].speed(report.rows[0]) == pytest.approx(
        report.rows[0].timings["forward"].minimum / report.rows[1].timings["forward"].minimum
    )


def test_the_report_is_json(report: NetworkReport) -> None:
    content = json.loads(json.dumps(report.as_json()))
    assert content["rows"][0]["how"] == "torch fp32" and content["rows"][0]["parameters"] > 1e6
    again = Contender.from_json(content["rows"][0]["contender"])
    assert again == report.rows[0].contender


def test_a_form_that_fails_leaves_the_others_their_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Trial.forward

    def scarce(trial: Trial) -> torch.Tensor:
        if trial.contender.mixer == "mamba":
            raise torch.OutOfMemoryError("no memory left")
        return forward(trial)

    forms = [Contender(Subject("lightm-unet", (16, 16, 16), 1, 2), mixer, False, "fp32") for mixer in ("mamba", "conv")]
    monkeypatch.setattr(network, "contenders", lambda one, *a: [] if one.name == PLAIN else forms)
    monkeypatch.setattr(Trial, "forward", scarce)
    monkeypatch.setattr(network.child, "run", lambda jobs, *a: [{"forward": 1} for _ in jobs])
    bad, good = run(NetworkOptions(nets=("lightm-unet",), dtypes=("fp32",), patch="16", repeats=1), CPU).rows
    assert bad.absent == "failed: OutOfMemoryError: no memory left" and not bad.timings
    assert good.timings["forward"].minimum > 0 and good.memory == {"forward": 1} and not bad.memory


def test_half_precision_is_autocast_and_the_engine() -> None:
    small = Subject("lightm-unet", (16, 16, 16), 1, 2)
    assert [form.how for form in contenders(small, ("bf16", "fp32"), 1, CPU)][:4] == [
        "torch fp32", "autocast bf16", "engine fp32", "engine bf16",
    ]  # fmt: skip
    exact = Trial(Contender(small, "mamba", False, "fp32"), CPU).forward()
    half = Trial(Contender(small, "mamba", False, "bf16"), CPU).forward()
    assert 1e-4 < float((half.float() - exact).norm() / exact.norm()) < 0.1


def test_no_engine_on_a_gpu() -> None:
    forms = contenders(subject("segmamba"), ("fp32", "bf16"), 2, torch.device("cuda"))
    assert [(form.mixer, form.how, form.batch) for form in forms[:2]] == [
        ("mamba", "torch fp32", 2),
        ("mamba", "autocast bf16", 2),
    ]
    assert not any(form.engine for form in forms)


def test_a_step_trains_and_leaves_the_weights_in_place() -> None:
    trial = Trial(Contender(Subject("lightm-unet", (16, 16, 16), 1, 2), "mamba", False, "fp32"), CPU)
    before = [p.clone() for p in trial.network.parameters()]
    loss = trial.step(trial.optimizer())
    assert loss > 0 and any(p.grad is not None and p.grad.abs().max() > 0 for p in trial.network.parameters())
    assert all(torch.allclose(p, b) for p, b in zip(trial.network.parameters(), before, strict=True))


@pytest.mark.parametrize(("flags", "dtypes"), [(("avx2",), ("fp32",)), (("avx2", "amx_bf16"), ("fp32", "bf16"))])
def test_bf16_where_there_are_units_for_it(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], dtypes: tuple[str, ...]
) -> None:
    monkeypatch.setattr(runtime, "cpu_flags", lambda: flags)
    assert natural_dtypes(CPU) == dtypes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (NetworkOptions(nets=("nothing",)), "no network 'nothing'"),
        (NetworkOptions(dtypes=("fp8",)), "no type 'fp8'"),
        (NetworkOptions(patch="0"), "'0' is no patch size"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(options: NetworkOptions, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(options, CPU)
