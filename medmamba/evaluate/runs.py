"""The metrics.json files of one method: one run, or several folds or seeds of it."""

import glob
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from ..files import read_json
from .report import FORMAT, JSON

OVERALL = "mean"
"""Name of the mean over the targets that dataset.json asks for."""
Figures = Mapping[str, Mapping[str, Any]]
"""Target -> measure -> value, of one case."""


@dataclass(frozen=True)
class Run:
    """What one metrics.json says."""

    path: Path
    targets: Mapping[str, Mapping[str, Any]]
    """Target -> kind, values, in_mean, nsd_tolerance_mm, ..."""
    cases: Mapping[str, Figures]
    failed: tuple[str, ...]
    lesion_rules: Mapping[str, Any] | None
    means: Mapping[str, float]
    """Measure -> mean over cases, then over targets."""

    def value(self, case: str, target: str, measure: str) -> float | None:
        """One figure; of OVERALL the mean over the targets that have one."""
        if target != OVERALL:
            return self.cases[case].get(target, {}).get(measure)
        asked = [name for name, one in self.targets.items() if one["in_mean"]]
        values = [value for name in asked if (value := self.cases[case][name].get(measure)) is not None]
        return math.fsum(values) / len(values) if values else None


@dataclass(frozen=True)
class Method:
    """Runs that belong together. A case that several of them have counts with its mean over these."""

    name: str
    runs: tuple[Run, ...]

    @cached_property
    def cases(self) -> tuple[str, ...]:
        """All cases of all runs, in order of their names."""
        return tuple(sorted({case for run in self.runs for case in run.cases}))

    def value(self, case: str, target: str, measure: str) -> float | None:
        """The mean over the runs that have a figure of this case."""
        there = [run.value(case, target, measure) for run in self.runs if case in run.cases]
        values = [value for value in there if value is not None]
        return math.fsum(values) / len(values) if values else None

    @property
    def repeats(self) -> str:
        """What its runs are to each other: "", "folds" (no common case), "seeds" (the same cases) or "mixed"."""
        if len(self.runs) == 1:
            return ""
        counts = {case: sum(case in run.cases for run in self.runs) for case in self.cases}
        if max(counts.values()) == 1:
            return "folds"
        return "seeds" if min(counts.values()) == len(self.runs) else "mixed"


def read_method(text: str) -> Method:
    """From what was typed: a folder or metrics.json, several with commas or `*`, with `NAME=` before them or not.

    Raises ConfigError where there is none, or a file is no evaluation.
    """
    name, equals, places = text.partition("=")
    if not equals or Path(text).exists():
        name, places = "", text
    paths = [path for part in places.split(",") if part for path in _matching(part)]
    if not paths:
        raise ConfigError(f"{text!r} names no evaluation.", "Give NAME=FOLDER, where medmamba evaluate --out wrote.")
    runs = tuple(read_run(path) for path in dict.fromkeys(paths))
    return Method(name or _short(paths[0]), runs)


def _matching(part: str) -> list[Path]:
    found = sorted(glob.glob(part)) if glob.has_magic(part) and not Path(part).exists() else [part]
    return [Path(one) for one in found]


def _short(path: Path) -> str:
    """The folder's name."""
    folder = path.absolute() if path.is_dir() else path.absolute().parent
    return folder.name or str(folder)


def read_run(path: Path) -> Run:
    """A metrics.json, or that of a folder. ConfigError where it is none, DataError where it is damaged."""
    file = path / JSON if path.is_dir() else path
    content = read_json(file)
    if content.get("format") != FORMAT:
        raise ConfigError(f"{file} is no evaluation.", "Give what medmamba evaluate --out wrote.")
    try:
        means = {name: float(one["mean"]) for name, one in content["mean"].items()}
        failed = tuple(content["failures"])
        return Run(file, content["targets"], content["per_case"], failed, content["lesion_rules"], means)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} lacks parts of an evaluation ({error}).", "Run medmamba evaluate again.") from error


def check_comparable(methods: Sequence[Method]) -> list[str]:
    """Sentences about what does not count. ConfigError, naming files, where figures of two runs are not of one kind."""
    runs = [run for method in methods for run in method.runs]
    first = runs[0]
    for run in runs[1:]:
        _same_kind(first, run)
    sizes: dict[tuple[str, str], tuple[int, Run]] = {}
    for run in runs:
        for case, figures in run.cases.items():
            for target, one in figures.items():
                size, other = sizes.setdefault((case, target), (one["reference_voxels"], run))
                if size != one["reference_voxels"]:
                    raise ConfigError(
                        f"{target} of {case} has {size} reference voxels in {other.path} and "
                        f"{one['reference_voxels']} in {run.path}.",
                        "Score all of them against the same reference labels.",
                    )
    failed = {case for run in runs for case in run.failed}
    return [f"{len(failed)} cases could not be scored in some run and count only where they were."] if failed else []


def _same_kind(first: Run, other: Run) -> None:
    def plain(run: Run) -> dict[str, Any]:
        keys = ("values", "in_mean", "nsd_tolerance_mm")
        return {name: tuple(map(str, (one[key] for key in keys))) for name, one in run.targets.items()}

    if plain(first) != plain(other):
        problem = f"{first.path} and {other.path} differ in targets, their values or tolerances."
        raise ConfigError(problem, "Score both with the same --dataset and --tolerance.")
    if first.lesion_rules != other.lesion_rules:
        problem = f"{first.path} and {other.path} differ in the rules for lesions."
        raise ConfigError(problem, "Score both with the same --dataset and --lesion-wise.")
