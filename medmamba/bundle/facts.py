"""What a results folder tells of a model besides its weights: when it was trained, from which seed, how well."""

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from ..files import read_json
from ..nnunet import checkpoints
from ..predict.recipe import LoadedModel
from .packing import Facts


def facts_of(model: LoadedModel, folder: Path, checkpoint: str = checkpoints.FINAL) -> Facts:
    """The facts of a model that was loaded from nnU-Net's results folder `folder`.

    `created` is SOURCE_DATE_EPOCH where that is set, else the date of the newest checkpoint file.
    """
    files = {fold: folder / f"fold_{fold}" / checkpoint for fold in model.folds}
    fingerprint = folder / "dataset_fingerprint.json"
    previous = None
    if model.previous is not None:
        previous = facts_of(model.previous, Path(model.previous.name), checkpoint)
    return Facts(
        created=created(files.values()),
        seeds=_seeds(files),
        metrics={fold: found for fold in model.folds if (found := _metrics(folder / f"fold_{fold}", model.dataset))},
        fingerprint=read_json(fingerprint) if fingerprint.is_file() else None,
        previous=previous,
    )


def facts_of_folds(folder: Path, files: Mapping[str, Path], dataset: Mapping[str, Any]) -> Facts:
    """The facts of a registration model in a results folder: its checkpoint files by fold."""
    return Facts(
        created=created(files.values()),
        seeds=_seeds(files),
        metrics={fold: found for fold in files if (found := _metrics(folder / f"fold_{fold}", dataset))},
    )


def created(files: Iterable[Path]) -> str:
    """SOURCE_DATE_EPOCH, else the date of the newest of the files; UTC. ConfigError when the variable is no number."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is not None and not given.isdigit():
        raise ConfigError(f"SOURCE_DATE_EPOCH is {given!r}.", "It is a number of seconds since 1970.")
    seconds = int(given) if given is not None else max(int(file.stat().st_mtime) for file in files)
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seeds(files: Mapping[str, Path]) -> dict[str, int]:
    """The seeds that our trainers note; nnU-Net's note none."""
    notes = {fold: checkpoints.read(file).get(checkpoints.RUN) for fold, file in files.items()}
    return {fold: note["seed"] for fold, note in notes.items() if note and type(note.get("seed")) is int}


def _metrics(fold: Path, dataset: Mapping[str, Any]) -> dict[str, float | None]:
    """Mean Dice of each label or region over the fold's validation cases, and of all together; empty without."""
    try:
        summary = read_json(fold / "validation" / "summary.json")
        scores = {str(key): value["Dice"] for key, value in summary["mean"].items()}
        mean = summary["foreground_mean"]["Dice"]
    except (DataError, LookupError, TypeError):
        return {}
    names = {str(tuple(value) if isinstance(value, list) else value): name for name, value in dataset["labels"].items()}
    found = {"mean": mean, **{names.get(key, key): score for key, score in scores.items()}}
    return {
        name: round(score, 4) if isinstance(score, float) and score == score else None for name, score in found.items()
    }
