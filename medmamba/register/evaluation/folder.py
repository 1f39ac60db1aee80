"""A folder of transforms against what their pairs are judged by."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import ConfigError
from ..pairs import Pair
from ..transforms.transform import Transform
from ..warping import LabelInterpolation
from .predictions import Places, find_transform, read_affine, read_transform
from .report import EvaluationReport, Run, check_comparable, read_run
from .scoring import PairScore, score

Progress = Callable[[int, int, str], None]
"""Hears (pairs done, pairs in all, name of the next)."""


def evaluate_folder(
    folder: Path,
    pairs: Sequence[Pair],
    places: Places,
    interpolation: LabelInterpolation = "linear",
    baseline: Path | None = None,
    progress: Progress = lambda done, total, name: None,
) -> EvaluationReport:
    """Score the transform of every pair in `folder`, beside the images as they lay and, where it is kept, the affine.

    `baseline`: report.json of another run, whose figures are compared pair by pair. Raises ConfigError, naming the
    pairs, where a transform is absent: a mean over what happens to be there is no result.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder.", "Give the folder that holds the pairs' transforms.")
    other = None if baseline is None else read_run(baseline)
    found = {pair.name: find_transform(folder, pair) for pair in pairs}
    if missing := [name for name, path in found.items() if path is None]:
        listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise ConfigError(
            f"{folder} lacks the transforms of {len(missing)} of {len(pairs)} pairs: {listed}.", "Register them first."
        )
    scores: list[PairScore] = []
    steps: dict[str, dict[str, PairScore]] = {"before": {}, "affine": {}}
    for pair in pairs:
        progress(len(scores), len(pairs), pair.name)
        path, truth = found[pair.name], places.truth(pair)
        assert path is not None
        scores.append(score(pair.name, read_transform(path, truth.fixed.grid, truth.moving.grid), truth, interpolation))
        steps["before"][pair.name] = score(pair.name, Transform(()), truth, interpolation)
        if (affine := read_affine(path)) is not None:
            steps["affine"][pair.name] = score(pair.name, affine, truth, interpolation)
    references = {name: _run(name, interpolation, some) for name, some in steps.items() if some}
    report = EvaluationReport(tuple(scores), interpolation, references)
    if other is None or baseline is None:
        return report
    note = check_comparable(report.run(), other, baseline)
    both = {**references, f"baseline {baseline}": other}
    return EvaluationReport(tuple(scores), interpolation, both, (note,) if note else ())


def _run(name: str, interpolation: str, scores: dict[str, PairScore]) -> Run:
    return Run(name, interpolation, {pair: one.values() for pair, one in scores.items()})
