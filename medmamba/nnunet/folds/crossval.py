"""Cross-validation: every case scored once, by the fold that was not trained on it, in nnU-Net's files."""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError, DataError
from ...files import replacing
from .. import checkpoints
from ..batches import OnCase
from . import held_out, scoring
from .parse import Fold, as_text, parse_folds
from .results import TrainedModel

__all__ = ["CrossValidation", "LabelResult", "parse_folds", "summary"]


@dataclass(frozen=True)
class LabelResult:
    """One label or region over all cases of a cross-validation."""

    dice: float | None
    """Mean over all cases; None where no case has it."""
    folds: tuple[float | None, ...]
    """Mean over the cases of each fold."""

    @property
    def spread(self) -> float | None:
        """Standard deviation (n - 1) of the folds' means; None for fewer than two."""
        known = [value for value in self.folds if value is not None]
        return float(np.std(known, ddof=1)) if len(known) > 1 else None


@dataclass(frozen=True)
class CrossValidation:
    """What `summary` found."""

    model: Path
    folder: Path
    """crossval_results_folds_...: a label map per case, summary.json, plans.json, dataset.json."""
    folds: tuple[Fold, ...]
    cases: int
    labels: dict[str, LabelResult]
    mean: LabelResult
    """Of the labels' means."""

    @property
    def title(self) -> str:
        """A headline for the table."""
        return f"{TrainedModel(self.model).label}: {self.cases} cases, folds {as_text(self.folds)}, mean Dice"

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns: over all cases, spread over folds, each fold."""
        return ("label", "Dice", "sd", *(str(fold) for fold in self.folds))

    def rows(self) -> list[tuple[str, ...]]:
        """The table's rows, the mean last."""
        found = {**self.labels, "mean": self.mean}
        return [
            (name, *(_digits(value) for value in (one.dice, one.spread, *one.folds))) for name, one in found.items()
        ]


def summary(model_folder: Path, folds: Sequence[Fold], on_case: OnCase | None = None) -> CrossValidation:
    """Put the validations of these folds together and score them, as nnU-Net's accumulate_cv_results does.

    Writes MODEL/crossval_results_folds_0_1_.../ with the label maps (hard links where the disk knows them, else
    copies) and summary.json; what is up to date there stays. Raises DataError that names the folds and cases that
    are missing, ConfigError for fold "all", which has no held-out cases.
    """
    model_folder, folds = Path(model_folder).absolute(), tuple(dict.fromkeys(folds))
    if not folds or "all" in folds:
        raise ConfigError(f"There is no cross-validation of folds {as_text(folds) or '(none)'}.", "Use 0-4.")
    files = scoring.LabelFiles.of(model_folder)
    fold_of = held_out_cases(model_folder, folds, files)
    folder = model_folder / f"crossval_results_folds_{'_'.join(map(str, folds))}"
    _collect(model_folder, folder, fold_of, files.ending)
    content = scoring.score_folder(folder, files.references(), files, list(fold_of), on_case)
    labels, mean = _results(content, fold_of, folds, files)
    return CrossValidation(model_folder, folder, folds, len(fold_of), labels, mean)


def held_out_cases(model_folder: Path, folds: Sequence[Fold], files: scoring.LabelFiles) -> dict[str, Fold]:
    """Case -> the fold that predicted it. DataError when a fold or a case is missing or a case is in two folds."""
    fold_of: dict[str, Fold] = {}
    missing: dict[Fold, str] = {}
    for fold in folds:
        there = files.cases(model_folder / f"fold_{fold}" / "validation")
        wanted = _wanted(model_folder, fold, files)
        lacking = sorted(set(wanted if wanted is not None else there) - set(there))
        if lacking or not there:
            few = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
            missing[fold] = f"fold {fold} lacks {len(lacking)} of {len(wanted or ())} cases: {few}" if there else ""
        for case in there if wanted is None else wanted:
            if case in fold_of:
                raise DataError(
                    f"{model_folder}: case {case} is in folds {fold_of[case]} and {fold}.",
                    "Each case must be in the validation of one fold: see splits_final.json.",
                )
            fold_of[case] = fold
    if missing:
        raise DataError(*_what_is_missing(model_folder, missing))
    return fold_of


def _what_is_missing(model_folder: Path, missing: dict[Fold, str]) -> tuple[str, str]:
    """Problem and remedy for folds without validation ("") or with an incomplete one (the reason)."""
    absent = [fold for fold, why in missing.items() if not why]
    parts = [f"not validated: fold {', '.join(map(str, absent))}"] if absent else []
    parts += [why for why in missing.values() if why]
    untrained = [fold for fold in missing if not (model_folder / f"fold_{fold}" / checkpoints.FINAL).is_file()]
    model = TrainedModel(model_folder)
    todo = [model.train_command(untrained)] if untrained else []
    trained = [fold for fold in missing if fold not in untrained]
    todo += [model.validate_command(trained)] if trained else []
    return f"{model.label}: {'; '.join(parts)}.", f"Run: {'; then: '.join(todo)}"


def _wanted(model_folder: Path, fold: Fold, files: scoring.LabelFiles) -> list[str] | None:
    """The cases that nnU-Net's split gives the fold; None where the preprocessed data is gone."""
    with suppress(DataError):
        return held_out.validation_cases(files.plans, model_folder.name.rpartition("__")[2], fold)
    return None


def _collect(model_folder: Path, folder: Path, fold_of: dict[str, Fold], ending: str) -> None:
    """Links (or copies) of the folds' label maps in one folder, and nothing of other cases."""
    folder.mkdir(exist_ok=True)
    for name in ("plans.json", "dataset.json"):
        with replacing(folder / name) as temporary:
            shutil.copyfile(model_folder / name, temporary)
    for stray in folder.glob(f"*{ending}"):
        if stray.name.removesuffix(ending) not in fold_of:
            stray.unlink()
    for case, fold in fold_of.items():
        link(model_folder / f"fold_{fold}" / "validation" / f"{case}{ending}", folder / f"{case}{ending}")


def link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy with its time where the disk has no hard links."""
    if target.exists() and (target.samefile(source) or target.stat().st_mtime_ns == source.stat().st_mtime_ns):
        return
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copy2(source, temporary)


def _results(
    content: dict[str, Any], fold_of: dict[str, Fold], folds: Sequence[Fold], files: scoring.LabelFiles
) -> tuple[dict[str, LabelResult], LabelResult]:
    """Per label, and of the labels' means: over all cases and fold by fold."""
    parts = []
    for fold in folds:
        names = {f"{case}{files.ending}" for case, of in fold_of.items() if of == fold}
        scored = [one for one in content["metric_per_case"] if Path(one["prediction_file"]).name in names]
        parts.append(scoring.summarise(scored, files.targets))
    labels = {
        files.name(target): LabelResult(
            scoring.figure(content["mean"][target]["Dice"]),
            tuple(scoring.figure(part["mean"][target]["Dice"]) for part in parts),
        )
        for target in files.targets
    }
    return labels, LabelResult(scoring.mean_dice(content), tuple(scoring.mean_dice(part) for part in parts))


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
