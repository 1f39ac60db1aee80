import json
from pathlib import Path
from typing import Any

import pytest

from medmamba.bench import register as bench
from medmamba.bench.register_options import RegisterOptions
from medmamba.bench.register_report import RegisterReport, Row, Timing
from medmamba.register.evaluation.scoring import LabelScore, PairScore

ABOUT = {"device": "a CPU", "threads": 2, "date": "today", "versions": {"torch": "2"}}


def scores(*dice: float) -> tuple[PairScore, ...]:
    def one(number: int, dice: float) -> PairScore:
        field = {"folding_percent": 0.25 * number, "sdlogj": 0.1, "sdlogj_l2r": 0.02, "outside_percent": 0.0}
        return PairScore(f"pair{number}", {1: LabelScore(dice, 1.0, 1.0, 1.0, 5, 5, "")}, (), field)

    return tuple(one(number, value) for number, value in enumerate(dice))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RegisterOptions]:
    """Nothing is run: ours is better than demons by 0.1 on both pairs, one pair of ours kept its start."""
    took = (Timing("pair0", 4.0, 3.0), Timing("pair1", 2.5, 1.5, "worse, start kept"))
    rows = (
        Row("affine+search+io", "ours", scores(0.8, 0.9), took, None, 2**30),
        Row("sitk-demons", "demons", scores(0.7, 0.8), (*took[:1], Timing("pair1", 1.0, 1.0)), None, 2**29),
        Row("ants-syn", "SyN", absent="ants is not installed here"),
    )
    seen: list[RegisterOptions] = []

    def run(options: RegisterOptions, folder: Path | None, tell: Any) -> RegisterReport:
        seen.append(options)
        tell("preparing")
        return RegisterReport(ABOUT, "2 pairs", "linear", "sitk-demons", rows)

    monkeypatch.setattr(bench, "run", run)
    return seen


GIVEN = ("bench", "register", "--pairs", "p.csv", "--images", "i", "--labels", "l")


def test_table(run: Any, asked: list[RegisterOptions]) -> None:
    result = run(*GIVEN, "--size", "48x64x48", "--remap", "--limit", "5")
    assert result.exit_code == 0, result.stderr
    row = next(line for line in result.stdout.splitlines() if line.strip().startswith("affine+search+io "))
    assert row.split() == [
        "affine+search+io", "0.8500", "0.800-0.900", "0.800", "0.1250", "0.25", "0.100", "1.50", "2.50", "1.00",
        "+0.100", "[+0.100,", "+0.100]", "2/2",
    ]  # fmt: skip
    assert "TRE" not in result.stdout and "ants is not installed here" in result.stdout
    assert "affine+search+io: 1 pairs kept their start" in result.stdout and "preparing" in result.stderr
    (options,) = asked
    assert options.size == (48, 64, 48) and options.remap and options.limit == 5 and options.labels == (Path("l"),)


def test_json(run: Any, asked: list[RegisterOptions]) -> None:
    content = json.loads(run(*GIVEN, "--method", "affine", "--method", "ants-syn", "--json").stdout)
    ours, demons, absent = content["methods"]
    assert ours["differences"]["dice"]["mean"] == pytest.approx(0.1) and demons["differences"] == {}
    assert ours["summary"]["dice"]["n"] == 2 and ours["seconds"]["cpu"] == 1.5 and absent["absent"]
    assert asked[0].methods == ("affine", "ants-syn")


def test_refusals_are_sentences(run: Any) -> None:
    result = run(*GIVEN, "--size", "48x64")
    assert result.exit_code == 2 and "'48x64' is no size of a volume" in result.stderr
    result = run(*GIVEN, "--method", "magic")
    assert result.exit_code == 2 and "no method 'magic'" in result.stderr
