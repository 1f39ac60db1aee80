"""What is kept, and what is told."""

import pytest

from medmamba.register.pair.outcome import WORSE, Score, judged


def score(stage: str, lncc: float, dice: float | None = None) -> Score:
    return Score(stage, {"lncc": lncc}, {} if dice is None else {1: dice, 2: None}, {}, ())  # type: ignore[arg-type]


def test_the_last_stage_is_kept_when_it_is_no_worse() -> None:
    verdict = judged([score("start", -0.2), score("affine", -0.3), score("deformation", -0.4)], "lncc", False)
    assert (verdict.kept, verdict.exit_code, verdict.judge) == ("deformation", 0, "lncc")
    assert judged([score("start", -0.9), score("deformation", -0.898)], "lncc", False).exit_code == 0


@pytest.mark.parametrize(
    ("values", "kept"), [((-0.2, -0.4, -0.3), "affine"), ((-0.4, -0.3, -0.2), "start"), ((-0.2, -0.4, -0.1), "affine")]
)
def test_worse_is_dropped_and_told(values: tuple[float, ...], kept: str) -> None:
    scores = [score(stage, value) for stage, value in zip(("start", "affine", "deformation"), values, strict=True)]
    verdict = judged(scores, "lncc", False)
    assert (verdict.kept, verdict.exit_code) == (kept, WORSE) and f"the {kept} was kept" in verdict.sentence


def test_labels_know_better() -> None:
    scores = [score("start", -0.2, 0.5), score("affine", -0.3, 0.6), score("deformation", -0.25, 0.8)]
    assert judged(scores, "lncc", True).exit_code == 0
    scores[-1] = score("deformation", -0.9, 0.55)
    verdict = judged(scores, "lncc", True)
    assert (verdict.kept, verdict.judge) == ("affine", "dice") and "0.600 to 0.550" in verdict.sentence
    assert judged([score("start", -0.2), score("affine", -0.3)], "lncc", True).judge == "lncc"


def test_without_overlap_at_the_start() -> None:
    verdict = judged([Score("start", {}, {}, {}, ()), score("affine", -0.3)], "lncc", False)
    assert verdict.exit_code == 0 and "did not overlap" in verdict.sentence
