"""What the page says of a model: what it is, its digest, its plan, how it was trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MedMambaError
from ..networks import infos
from ..nnunet import checkpoints
from ..nnunet.plans import resolve
from ..nnunet.watching.history import NAME, from_log, read_history
from ..predict.loading import load, results_folder
from ..predict.recipe import LoadedModel
from .charts import Curves, curves

Facts = tuple[tuple[str, str], ...]
"""Pairs of what it is and its value, in the order of the page."""
_SOFTWARE = ("medmamba", "python", "torch", "nnunetv2", "numpy", "batchgeneratorsv2")


@dataclass(frozen=True)
class Fold:
    """One training."""

    name: str
    curves: tuple[Curves, ...]
    text: str
    """Epochs, seconds, device."""


@dataclass(frozen=True)
class Model:
    """For the page; nothing in it names a folder or a machine."""

    facts: Facts
    plan: Facts
    software: Facts
    """Versions that it was trained with."""
    folds: tuple[Fold, ...]
    validation: tuple[tuple[str, Mapping[str, float | None]], ...]
    """Fold -> mean Dice of each label over its validation cases."""
    channels: tuple[str, ...]
    labels: Mapping[str, int | tuple[int, ...]]
    ignored: int | None
    notes: tuple[str, ...] = ()


def read_model(path: Path) -> Model:
    """A bundle (folder or .tar) or a results folder. Raises as `medmamba.predict.loading.load`."""
    loaded = load(path)
    bundled = path.is_file() or (path / "MANIFEST.json").is_file()
    card, history = _bundled(path) if bundled else _trained(results_folder(path), loaded)
    ignored = loaded.recipe.labels.get("ignore")
    return Model(
        facts=(*card.get("facts", ()), *_facts(loaded)),
        plan=_plan(loaded),
        software=tuple(card.get("software", {}).items()),
        folds=history,
        validation=tuple(card.get("validation", {}).items()),
        channels=loaded.recipe.channels,
        labels={name: value for name, value in loaded.recipe.labels.items() if name not in ("background", "ignore")},
        ignored=ignored if isinstance(ignored, int) else None,
        notes=loaded.notes,
    )


def _facts(loaded: LoadedModel) -> Facts:
    names = {info.class_path: info.name for info in infos()}
    whole = resolve(loaded.plans, loaded.recipe.configuration)
    class_path = str(whole["architecture"]["network_class_name"])
    count = sum(parameter.numel() for parameter in loaded.network.parameters())
    return _filled(
        ("Network", names.get(class_path, class_path)),
        ("Parameters", f"{count:,}"),
        ("Trainer", loaded.trainer),
        ("Folds", ", ".join(loaded.folds)),
        ("Channels", ", ".join(loaded.recipe.channels)),
        ("Digest", loaded.digest),
    )


def _plan(loaded: LoadedModel) -> Facts:
    recipe, whole = loaded.recipe, resolve(loaded.plans, loaded.recipe.configuration)
    axes = recipe.mirror_axes
    return _filled(
        ("Dataset", str(loaded.plans.get("dataset_name", ""))),
        ("Plans", str(loaded.plans.get("plans_name", ""))),
        ("Configuration", recipe.configuration),
        ("Patch size, slowest axis first", _times(recipe.patch_size)),
        ("Spacing in mm, slowest axis first", _times(recipe.spacing)),
        ("Batch size", str(whole.get("batch_size", ""))),
        ("Normalisation", ", ".join(str(one).removesuffix("Normalization") for one in whole["normalization_schemes"])),
        ("Mirrored at prediction along axes", ", ".join(map(str, axes)) if axes else "none"),
        ("Previous stage", recipe.previous_stage or ""),
    )


def _bundled(path: Path) -> tuple[dict[str, Any], tuple[Fold, ...]]:
    from ..bundle.verify import inspect

    found = inspect(path)
    card = found.card
    facts = _filled(
        ("Bundle", f"{card.name}, version {card.version}"),
        ("Intended for", card.intended),
        ("Licence", card.licence),
        ("Trained on", "; ".join(card.training_data)),
        ("Origin", card.origin),
        ("Created", found.created),
        ("Signature", found.signature),
        ("Seeds", ", ".join(f"fold {fold}: {seed}" for fold, seed in card.seeds.items())),
    )
    return {"facts": facts, "software": card.software, "validation": card.metrics}, ()


def _trained(folder: Path, loaded: LoadedModel) -> tuple[dict[str, Any], tuple[Fold, ...]]:
    """From the history of each fold; software as the first line of the first one has it."""
    software: dict[str, str] = {}
    folds = []
    for name in loaded.folds:
        rows = _history(folder / f"fold_{name}", loaded)
        if not rows:
            continue
        run = rows[0].get("run") or {}
        software = software or {key: str(run[key]) for key in _SOFTWARE if key in run}
        folds.append(Fold(name, _drawn(rows), _told(rows, run)))
    return {"software": software}, tuple(folds)


def _history(fold: Path, loaded: LoadedModel) -> list[dict[str, Any]]:
    """Of our trainers their own file, of stock ones what the checkpoint has; empty where it is neither."""
    if rows := read_history(fold / NAME):
        return rows
    names = [name for name in loaded.recipe.labels if name not in ("background", "ignore")]
    try:
        log = checkpoints.read(fold / checkpoints.FINAL)["logging"]
        return from_log(log, names, len(log["train_losses"]))
    except (MedMambaError, LookupError, TypeError, ValueError):
        return []


def _drawn(rows: Sequence[Mapping[str, Any]]) -> tuple[Curves, ...]:
    names = list(dict.fromkeys(name for row in rows for name in row.get("dice") or {}))
    losses = [(text, _column(rows, key)) for key, text in (("train_loss", "training"), ("val_loss", "validation"))]
    dice = [("mean", _column(rows, "mean_dice"))]
    if 1 < len(names) <= 6:
        dice += [(name, [_number((row.get("dice") or {}).get(name)) for row in rows]) for name in names]
    found = curves("Loss", losses), curves("Dice of validation patches", dice, 0.0, 1.0)
    return tuple(one for one in found if one is not None)


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> list[float | None]:
    return [_number(row.get(key)) for row in rows]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None


def _told(rows: Sequence[Mapping[str, Any]], run: Mapping[str, Any]) -> str:
    seconds = sum(_number(row.get("seconds")) or 0.0 for row in rows)
    parts = [f"{len(rows)} of {rows[-1].get('epochs', len(rows))} epochs"]
    parts.append(f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min")
    parts += [f"{key} {run[key]}" for key in ("device", "seed") if key in run]
    return ", ".join(parts)


def _times(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)


def _filled(*pairs: tuple[str, str]) -> Facts:
    return tuple((name, text) for name, text in pairs if text)
