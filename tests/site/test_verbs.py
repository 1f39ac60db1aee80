import json
from typing import Any

import pytest

from medmamba.site import verbs
from medmamba.site.events import MODES, VERBS
from medmamba.site.exits import ExitCode
from medmamba.site.modes import MODES as CLASSES
from tests.site.made import Container, image


def test_describe_is_the_contract(container: Container) -> None:
    ran = container("describe")
    told = json.loads(ran.out)
    assert ran.code == 0 and set(told["exit_codes"]) == {str(code) for code in (0, 2, 3, 4, 5, 6, 7)}
    assert told["verbs"] == list(VERBS) == [*sorted(verbs.BY_NAME, key=VERBS.index)]
    assert sorted(told["modes"]) == sorted(MODES) == sorted(mode.name for mode in CLASSES)
    assert str(container.root) not in ran.out


def test_selftest(mounted: Container) -> None:
    ran = mounted("selftest")
    assert ran.code == 0 and ran.fields("self_test_passed")[0]["logits"] < 1e-3
    assert not (mounted.root / "output").exists()


def test_check_writes_nothing(mounted: Container) -> None:
    image(mounted.root / "input" / "a_0000.nii.gz")
    ran = mounted("check")
    assert ran.code == 0 and ran.fields("case_good")[0]["shape"] == [10, 12, 14]
    assert not (mounted.root / "output").exists()


def test_an_error_of_the_program_is_told_by_its_type(mounted: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*anything: Any) -> None:
        raise ZeroDivisionError("ZZPHIZZ")

    monkeypatch.setattr("medmamba.site.verbs._segment", fail)
    image(mounted.root / "input" / "a_0000.nii.gz")
    ran = mounted()
    assert ran.code == 7 and ran.fields("refused")[0]["error"] == "ZeroDivisionError"
    assert "ZZPHIZZ" not in ran.out + ran.err
    assert "ZZPHIZZ" in mounted("--debug").err


def test_run_ends_with_the_first_step_that_does_not_end_well(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = [ExitCode.OK, ExitCode.SOME_FAILED, ExitCode.OK]
    done: list[ExitCode] = []
    steps = tuple(lambda session, code=code: (done.append(code), code)[1] for code in codes)
    monkeypatch.setattr(verbs, "STEPS", steps)
    assert verbs.run(None) == ExitCode.SOME_FAILED and done == codes[:2]  # type: ignore[arg-type]


@pytest.mark.parametrize("words", [("--resume",), ("--mode", "medperf", "--names-in-report"), ("--site-key", "/none")])
def test_options_that_do_not_go_together(mounted: Container, words: tuple[str, ...]) -> None:
    assert mounted(*words).code == 2


def test_an_output_that_cannot_be_written(mounted: Container) -> None:
    image(mounted.root / "input" / "a_0000.nii.gz")
    (mounted.root / "output").touch()
    ran = mounted()
    assert (ran.code, ran.faults) == (4, ["output-not-writable"])
