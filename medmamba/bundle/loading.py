"""From a checked bundle to a model in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import ConfigError
from ..networks import infos
from ..nnunet.recipe import make_recipe
from ..predict.recipe import LoadedModel, Recipe
from ..register.network import RegistrationModel, Use, ready, use_of
from .architecture import build, build_registration, failures
from .card import Card
from .layout import CARD, DATASET, PLANS, PREVIOUS, refused, weight_name
from .opened import Bundle, opened
from .plans import check_dataset, check_plans
from .weights import restored

Folds = Sequence[int | str] | None


def load(path: Path, expect: str | None = None, folds: Folds = None) -> LoadedModel:
    """The segmentation model in a bundle; see `medmamba.bundle.load`."""
    with opened(path, expect) as bundle:
        return model_of(bundle, folds)


def model_of(bundle: Bundle, folds: Folds = None) -> LoadedModel:
    """The segmentation model of an open bundle. Every file of the bundle has been checked when this returns."""
    card = bundle.card()
    if card.task != "seg":
        raise ConfigError(
            f"The bundle {bundle.path} registers images ({card.name}); it does not segment them.",
            "Give a bundle of a segmentation network.",
        )
    chosen = _chosen(card, folds, bundle.path)
    previous = None
    if card.previous_stage is not None:
        earlier = bundle.card(PREVIOUS)
        same = set(chosen) <= set(earlier.folds)
        previous = _stage(bundle, PREVIOUS, earlier, chosen if same else list(earlier.folds), None)
        if earlier.configuration != card.previous_stage:
            raise refused(f"holds {earlier.configuration} as its previous stage and needs {card.previous_stage}")
    elif bundle.weight_files(PREVIOUS):
        raise refused("holds a previous stage, and its model has none")
    return _stage(bundle, "", card, chosen, previous)


def _chosen(card: Card, folds: Folds, path: Path) -> list[str]:
    if folds is None:
        numbered = [fold for fold in card.folds if fold != "all"]
        return numbered or list(card.folds)
    wanted = [str(fold) for fold in folds]
    missing = [fold for fold in wanted if fold not in card.folds]
    if missing or not wanted:
        raise ConfigError(
            f"The bundle {path} has no fold {', '.join(missing)}.", f"Folds in it: {', '.join(card.folds)}."
        )
    return wanted


def _stage(bundle: Bundle, prefix: str, card: Card, folds: list[str], previous: LoadedModel | None) -> LoadedModel:
    plans, dataset = bundle.document(prefix + PLANS), bundle.document(prefix + DATASET)
    configuration = card.configuration or ""
    check_plans(plans, configuration)
    check_dataset(dataset)
    with failures("has plans that cannot be used"):
        recipe = make_recipe(plans, dataset, configuration, card.mirror_axes)
    class_path = plans["configurations"][configuration]["architecture"]["network_class_name"]
    _compare(card, recipe, class_path)
    read = _read(bundle, prefix, folds)
    first = read[0]
    network = build(plans, dataset, configuration, len(first), sum(tensor.nbytes for tensor in first.values()))
    weights = tuple(
        restored(network, state, weight_name(fold, prefix)) for fold, state in zip(folds, read, strict=True)
    )
    network.load_state_dict(weights[0])
    return LoadedModel(
        recipe=recipe,
        network=network,
        weights=weights,
        folds=tuple(folds),
        plans=plans,
        dataset=dataset,
        name=f"{card.name} {card.version} ({bundle.path})",
        digest=bundle.digest,
        precision=card.precision,
        trainer=card.trainer,
        label_map=card.label_map,
        previous=previous,
        notes=tuple(card.notes),
    )


def _read(bundle: Bundle, prefix: str, folds: list[str]) -> list[dict[str, Tensor]]:
    """The weights of the chosen folds; those of the others are hashed too, so that no part goes unchecked."""
    wanted = [weight_name(fold, prefix) for fold in folds]
    for name in bundle.weight_files(prefix):
        if name not in wanted:
            bundle.check_weights(name)
    return [bundle.weights(name) for name in wanted]


def _compare(card: Card, recipe: Recipe, class_path: str) -> None:
    """What people read in bundle.json is what the plans do, or the bundle is refused."""
    ours = next((info.name for info in infos() if info.class_path == class_path), None)
    said: dict[str, Any] = {
        "networks": (card.network_class, card.network),
        "channels": list(card.channels),
        "labels": _tuples(card.labels),
        "regions": None if card.regions_class_order is None else tuple(card.regions_class_order),
        "previous stage": card.previous_stage,
    }
    done = {
        "networks": (class_path, ours),
        "channels": list(recipe.channels),
        "labels": _tuples(recipe.labels),
        "regions": recipe.regions_class_order,
        "previous stage": recipe.previous_stage,
    }
    for what, value in said.items():
        if value != done[what]:
            raise refused(f"has other {what} in bundle.json than in its plans and dataset.json")


def _tuples(labels: Any) -> list[tuple[str, Any]]:
    return [(name, tuple(value) if isinstance(value, list | tuple) else value) for name, value in labels.items()]


def load_registration(path: str | Path, expect: str | None = None) -> nn.Module:
    """The registration network (MambaMorph) in a bundle, on the CPU, in eval mode; of several folds the first.

    Raises ConfigError for a bundle of a segmentation model, BundleError for one that is refused.
    """
    return load_registration_model(path, expect).networks[0]


def load_registration_model(path: str | Path, expect: str | None = None) -> RegistrationModel:
    """The registration networks in a bundle with what their use takes, on the CPU. Raises as `load_registration`."""
    with opened(Path(path), expect) as bundle:
        card = bundle.card()
        if card.task != "reg":
            raise ConfigError(f"The bundle {path} segments images; it does not register them.", "Give another one.")
        networks = registration_of(bundle)
        return RegistrationModel(networks, _use(card, networks), f"{card.name} {card.version} ({path})", bundle.digest)


def registration_of(bundle: Bundle) -> tuple[nn.Module, ...]:
    """The networks of an open registration bundle, one a fold; it has been checked whole when this returns."""
    card = bundle.card()
    names = [weight_name(fold) for fold in card.folds]
    extra = [name for name in bundle.sizes() if name not in (CARD, *names)]
    if extra:
        raise refused(f"registers images and holds {extra[0]}, which has no place there")
    networks = []
    for name in names:
        state = bundle.weights(name)
        network = build_registration(card.network_class, card.arguments, state)
        network.load_state_dict(restored(network, state, name))
        networks.append(ready(network))
    return tuple(networks)


def _use(card: Card, networks: Sequence[nn.Module]) -> Use:
    """What the card says of the networks' use, where that can be; an imported network says nothing."""
    if card.registration is None:
        return Use()
    use = use_of(card.registration.model_dump())
    first: Any = networks[0]
    if use.features and first.feature_extractor is None:
        raise refused("promises features of a network that has no extractor")
    if use.size is None or any(size % step for size, step in zip(use.size, first.divisor, strict=True)):
        raise refused(f"has a registration network for {use.size} voxels, which it cannot take")
    return use
