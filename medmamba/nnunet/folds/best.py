"""Which trained model of a dataset, or which pair of them, is best on the cross-validation.

What nnU-Net's find_best_configuration does, over networks as well as configurations, from files that are there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from ...errors import ConfigError, DataError
from . import crossval, ensemble, postprocess_choice, scoring
from .parse import Fold, as_text
from .postprocess_choice import Choice
from .results import TrainedModel, trained_models
from .scoring import LabelFiles

DEFAULT_FOLDS: tuple[Fold, ...] = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Candidate:
    """One model, or the ensemble of two."""

    models: tuple[TrainedModel, ...]
    folder: Path
    """Where its label maps of all cases and their summary.json are."""
    dice: float
    """Mean over labels of the mean over cases."""
    labels: dict[str, float | None]

    @property
    def name(self) -> str:
        """nnU-Net's identifier."""
        return self.models[0].name if len(self.models) == 1 else self.folder.name

    @property
    def label(self) -> str:
        """A short name for people."""
        return " + ".join(model.label for model in self.models)


@dataclass(frozen=True)
class Best:
    """What `find_best` found."""

    folds: tuple[Fold, ...]
    candidates: list[Candidate]
    """Best first."""
    choice: Choice
    """Post-processing of the best one."""
    left_out: list[DataError]
    """Why models and ensembles were not compared, and what would change that."""

    @property
    def winner(self) -> Candidate:
        """The best candidate."""
        return self.candidates[0]


def find_best(
    dataset_id: int,
    folds: Sequence[Fold] = DEFAULT_FOLDS,
    *,
    networks: Sequence[str] = (),
    preset: str | None = None,
    configuration: str | None = None,
    ensembles: bool = True,
    say: Callable[[str], None] | None = None,
) -> Best:
    """Score every trained model of a dataset whose cross-validation is complete, and all pairs that can be averaged.

    Parameters
    ----------
    networks: only these: our networks' names, or names of trainers such as nnUNetTrainer.
    preset, configuration: only models of this preset of ours, of this nnU-Net configuration.
    ensembles: also try pairs; both need saved probabilities.
    say: told what is being done.

    Writes crossval_results_folds_* into each model folder, ensembles/ beside them, and the best one's post-processing.
    Raises DataError when nothing can be compared; it says what is missing where.
    """
    models = _wanted(trained_models(dataset_id), networks, preset, configuration)
    if not models:
        raise ConfigError("No trained model of the dataset goes with these options.", "Leave out --net or --config.")
    left_out: list[DataError] = []
    tell = say or (lambda _: None)
    singles = _each(models, lambda model: _single(model, folds, tell), left_out)
    if not singles:
        raise DataError(
            " ".join(error.problem for error in left_out), " ".join(dict.fromkeys(error.remedy for error in left_out))
        )
    pairs: list[Candidate] = []
    if ensembles and len(singles) > 1:
        ready = _each([one.models[0] for one in singles], lambda model: _ready(model, folds), left_out)
        pairs = _each(list(combinations(ready, 2)), lambda pair: _pair(pair, folds, tell), left_out)
    ranked = sorted([*singles, *pairs], key=lambda one: -one.dice)  # of equals the simpler one comes first
    tell(f"Trying post-processing of {ranked[0].label}")
    files = LabelFiles.of(ranked[0].folder)
    cases = list(_held_out(ranked[0].models[0], folds))
    choice = postprocess_choice.choose(ranked[0].folder, files.references(), files, cases)
    return Best(tuple(folds), ranked, choice, left_out)


def _wanted(
    models: list[TrainedModel], networks: Sequence[str], preset: str | None, configuration: str | None
) -> list[TrainedModel]:
    def fits(model: TrainedModel) -> bool:
        trainer, _, has = model.parts
        own_network, own_preset = model.network or (trainer, None)
        named = not networks or own_network in networks or trainer in networks
        return named and preset in (None, own_preset) and configuration in (None, has)

    return [model for model in models if fits(model)]


def _each(items: Sequence[Any], work: Callable[[Any], Any], left_out: list[DataError]) -> list[Any]:
    """What `work` makes of the items; those with faulty data go to `left_out`."""
    found = []
    for item in items:
        try:
            found.append(work(item))
        except DataError as error:
            left_out.append(error)
    return found


def _single(model: TrainedModel, folds: Sequence[Fold], say: Callable[[str], None]) -> Candidate:
    say(f"Scoring {model.label}")
    result = crossval.summary(model.folder, folds)
    if result.mean.dice is None:
        raise DataError(f"{model.label}: no label has a Dice.", "Are the reference labels empty?")
    return Candidate((model,), result.folder, result.mean.dice, {name: one.dice for name, one in result.labels.items()})


def _ready(model: TrainedModel, folds: Sequence[Fold]) -> tuple[TrainedModel, dict[str, Path]]:
    """A model and its saved probabilities. DataError with the command that makes them, when they are not there."""
    fold_of = _held_out(model, folds)
    found = {case: model.folder / f"fold_{fold}/validation/{case}.npz" for case, fold in fold_of.items()}
    lacking = [case for case, path in found.items() if not path.is_file()]
    if lacking:
        raise DataError(
            f"{model.label}: {len(lacking)} of {len(found)} cases have no saved probabilities.",
            f"For ensembles run: {model.validate_command(folds)} --save-probabilities",
        )
    return model, found


def _held_out(model: TrainedModel, folds: Sequence[Fold]) -> dict[str, Fold]:
    """Case -> the fold that predicted it."""
    return crossval.held_out_cases(model.folder, folds, LabelFiles.of(model.folder))


def _pair(pair: Any, folds: Sequence[Fold], say: Callable[[str], None]) -> Candidate:
    """The ensemble of two models' cross-validations, in nnU-Net's folder for it; what is up to date there stays."""
    (first, ours), (second, theirs) = pair
    label = f"{first.label} + {second.label}"
    if set(ours) != set(theirs):
        raise DataError(f"{label}: they were not validated on the same cases.", f"Folds {as_text(folds)} differ.")
    say(f"Scoring {label}")
    files = LabelFiles.of(first.folder)
    name = f"ensemble___{first.name}___{second.name}___{'_'.join(map(str, folds))}"
    folder = first.folder.parent / "ensembles" / name
    sources = {case: (ours[case], theirs[case]) for case in ours}
    _drop_outdated(folder, sources, files.ending)
    ensemble.merge(sources, folder, files, overwrite=False)
    content = scoring.score_folder(folder, files.references(), files, list(sources))
    labels = {files.name(target): scoring.figure(one["Dice"]) for target, one in content["mean"].items()}
    mean = scoring.mean_dice(content)
    assert mean is not None, "each of the two has one, so there are references"
    return Candidate((first, second), folder, mean, labels)


def _drop_outdated(folder: Path, sources: dict[str, tuple[Path, Path]], ending: str) -> None:
    """Remove the label maps that are older than what they were made from, or of cases that are no more."""
    for file in folder.glob(f"*{ending}"):
        paths = sources.get(file.name.removesuffix(ending))
        if paths is None or any(path.stat().st_mtime_ns >= file.stat().st_mtime_ns for path in paths):
            file.unlink()
