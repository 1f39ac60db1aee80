"""From a trained model to a bundle."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..errors import BundleError, ConfigError, DataError
from ..networks import infos
from ..nnunet.plans import STAMP, resolve
from ..nnunet.recipe import make_network
from ..predict.batch.report import software
from ..predict.loading import results_folder, trained_folder
from ..predict.recipe import LoadedModel
from . import selftest
from .card import Card
from .layout import CARD, DATASET, EXPECTED, FINGERPRINT, MANIFEST, PLANS, PREVIOUS, serialise, weight_name
from .loading import load
from .signing import Sign
from .weights import serialise_weights, without_aliases
from .writing import Files, require_free, write

if TYPE_CHECKING:
    from ..data.folders import Folders

_CASES = ("training", "test", "dataset")
"""Keys of dataset.json that list files by name, which may tell of patients."""
_SOFTWARE = ("medmamba", "torch", "nnunetv2", "numpy")


@dataclass(frozen=True)
class Facts:
    """What is known of a trained model besides what a prediction needs."""

    created: str
    """When it was trained: UTC, 2026-01-31T12:00:00Z."""
    seeds: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    """Fold -> label -> mean Dice of its validation cases."""
    fingerprint: Mapping[str, Any] | None = None
    """dataset_fingerprint.json: sizes and intensities of the training images, without names."""
    origin: str = ""
    previous: "Facts | None" = None
    """Of a cascade's earlier stage."""


@dataclass(frozen=True)
class Wording:
    """What a person says of a bundle."""

    name: str | None = None
    """None: dataset, network and configuration."""
    version: str = "1"
    licence: str = ""
    intended: str = ""
    training_data: Sequence[str] = ()
    """Data sets by name or identifier, with their licences; empty: the name of the plans' data set."""


def trained_model(text: str, places: "Folders | None" = None) -> Path:
    """The results folder that a person names for `export`: its path, or DATASET:NET[:PRESET[:CONFIGURATION]].

    Raises ConfigError for a bundle and an empty name, and what `loading.results_folder` and `trained_folder` raise.
    """
    path = Path(text).expanduser()
    if not text or (path.is_file() and path.suffix == ".tar") or (path / MANIFEST).is_file():
        what = f"{path} is a bundle already." if text else "The name of the model is empty."
        raise ConfigError(what, "Name a results folder, or DATASET:NET of a network trained here.")
    return trained_folder(text, places) if ":" in text and not path.exists() else results_folder(path)


def export(
    model: LoadedModel,
    target: str | Path,
    facts: Facts,
    wording: Wording | None = None,
    sign: Sign | None = None,
    self_test: bool = True,
) -> str:
    """Write a segmentation model as a bundle and return its digest, sha256:...

    Parameters
    ----------
    model: of `medmamba.predict.loading.load`.
    target: a folder, or a file whose name ends in .tar; not there yet.
    facts: see `medmamba.bundle.facts.facts_of`.
    sign: of `medmamba.bundle.signing.signer`.
    self_test: predict a small synthetic image with it, so that sites can check their machine (`expected.json`).

    The same model gives the same bundle, byte by byte. Raises ConfigError for a network that is none of medmamba's or
    nnU-Net's, DataError for weights that are not of the plans' network, SetupError when the target cannot be written.
    """
    require_free(Path(target))
    said = wording or Wording()
    cards = [_card(model, facts, said)]
    if model.previous is not None:
        cards.append(_card(model.previous, facts.previous or Facts(facts.created), said))
    expected = selftest.record(model) if self_test else None
    files = _files(model, facts, cards, expected)
    return write(Path(target), files, facts.created, sign, partial(_check, folds=cards[0].folds))


def _check(made: Path, folds: Sequence[str]) -> None:
    """Load what was written, so that nobody is handed a bundle that is refused."""
    try:
        load(made, folds=folds)
    except BundleError as error:
        why = error.problem.removeprefix(f"The bundle {made} ")
        raise ConfigError(f"This model cannot be a bundle, for it {why}", "Only nnU-Net's own parts can.") from error


def _files(model: LoadedModel, facts: Facts, cards: Sequence[Card], expected: Mapping[str, Any] | None) -> Files:
    yield from _stage(model, facts, cards[0], "")
    if model.previous is not None:
        yield from _stage(model.previous, facts.previous or Facts(facts.created), cards[1], PREVIOUS)
    if expected is not None:
        yield EXPECTED, serialise(expected)


def _stage(model: LoadedModel, facts: Facts, card: Card, prefix: str) -> Iterator[tuple[str, bytes]]:
    plans = reduced_plans(model.plans, model.recipe.configuration)
    dataset = {key: value for key, value in model.dataset.items() if key not in _CASES}
    yield prefix + CARD, serialise(card.model_dump())
    yield prefix + PLANS, serialise(plans)
    yield prefix + DATASET, serialise(dataset)
    if facts.fingerprint is not None:
        yield prefix + FINGERPRINT, serialise(facts.fingerprint)
    with torch.device("meta"):
        network = make_network(plans, dataset, model.recipe.configuration, None)
    for fold, state in zip(model.folds, model.weights, strict=True):
        yield weight_name(fold, prefix), serialise_weights(without_aliases(network, state, f"Fold {fold}"))


def reduced_plans(plans: Mapping[str, Any], configuration: str) -> dict[str, Any]:
    """The plans of one configuration, with what it inherits; of the machine they were made on they say nothing."""
    chosen = {key: value for key, value in resolve(plans, configuration).items() if key != "inherits_from"}
    stamp = {key: value for key, value in (plans.get(STAMP) or {}).items() if key in ("network", "preset")}
    kept = {key: value for key, value in plans.items() if key not in ("configurations", STAMP)}
    return {**kept, "configurations": {configuration: chosen}, **({STAMP: stamp} if stamp else {})}


def _card(model: LoadedModel, facts: Facts, wording: Wording) -> Card:
    recipe = model.recipe
    class_path = resolve(model.plans, recipe.configuration)["architecture"]["network_class_name"]
    ours = next((info.name for info in infos() if info.class_path == class_path), None)
    dataset_name = str(model.plans.get("dataset_name", "unknown"))
    short = ours or class_path.rpartition(".")[2]
    wanted = {
        "name": wording.name or f"{dataset_name} {short} {recipe.configuration}",
        "version": wording.version,
        "network": ours,
        "network_class": class_path,
        "configuration": recipe.configuration,
        "previous_stage": recipe.previous_stage,
        "trainer": model.trainer,
        "precision": model.precision,
        "folds": list(model.folds),
        "mirror_axes": None if recipe.mirror_axes is None else list(recipe.mirror_axes),
        "channels": list(recipe.channels),
        "labels": {name: list(v) if isinstance(v, tuple) else v for name, v in recipe.labels.items()},
        "regions_class_order": None if recipe.regions_class_order is None else list(recipe.regions_class_order),
        "label_map": None if model.label_map is None else dict(model.label_map),
        "intended": wording.intended,
        "training_data": list(wording.training_data) or [training_data(dataset_name, model.dataset)],
        "licence": wording.licence,
        "seeds": {fold: facts.seeds[fold] for fold in model.folds if fold in facts.seeds},
        "metrics": {fold: dict(facts.metrics[fold]) for fold in model.folds if fold in facts.metrics},
        "origin": facts.origin,
        "software": versions(),
        "notes": list(model.notes),
    }
    return make_card(wanted)


def versions() -> dict[str, str]:
    """Of medmamba and what it computes with."""
    return {name: version for name, version in software().items() if name in _SOFTWARE}


def make_card(content: Mapping[str, Any]) -> Card:
    """The card of a new bundle. DataError when a name or number cannot be in one."""
    from pydantic import ValidationError

    try:
        return Card.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{key} cannot be in a bundle: {first['msg']} (got {first['input']!r}).") from error


def training_data(name: str, dataset: Mapping[str, Any]) -> str:
    """The data set with its licence, where dataset.json says it."""
    licence = dataset.get("licence") or dataset.get("license")
    return f"{name} ({licence})" if licence else name
