"""What is scored: the labels of the bundle's model, or of a dataset card, by the card's rules."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, DataError
from .arguments import Options

if TYPE_CHECKING:
    from ..data.cards import Card
    from ..evaluate.targets import Rules
    from ..predict.recipe import LoadedModel


def rules_for(model: "LoadedModel | None", options: Options, raw: bool) -> "Rules":
    """The rules of this run.

    model: of the bundle; not needed with --dataset. raw: label maps have the values of the dataset's download.

    Raises ConfigError for a dataset or a tolerance that is not known, and for raw values that cannot be scored.
    """
    from ..evaluate.targets import rules_of

    wise = True if options.lesion_wise else None
    if options.dataset is not None:
        card = _card(options.dataset)
        if card is None:
            raise ConfigError("There is no such dataset card.", "`medmamba datasets` lists them.")
        return rules_of({"labels": {"background": 0, **card.targets}}, card, options.tolerance, wise)
    assert model is not None  # the caller has looked for a bundle
    rules = rules_of(model.dataset, _card(_dataset_of(model)), options.tolerance, wise)
    return _in_raw(rules, model.label_map) if raw and model.label_map is not None else rules


def _card(name: str) -> "Card | None":
    from ..data.cards import cards

    return next((card for card in cards().values() if card.answers_to(name)), None)


def _dataset_of(model: "LoadedModel") -> str:
    """The dataset's name, as the model knows it."""
    name = str(model.plans.get("dataset_name", "")).partition("_")[2]
    return str((model.label_map or {}).get("card") or name)


def _in_raw(rules: "Rules", label_map: Mapping[str, Any]) -> "Rules":
    """The same labels by the values that the dataset's download has."""
    if label_map.get("kind") != "values":
        raise ConfigError("The raw labels of this dataset are objects, which are not scored.", "Use --raw-labels no.")
    try:
        back = {int(value): int(raw) for value, raw in label_map["to_raw"].items()}
        targets = tuple(replace(one, values=tuple(back[value] for value in one.values)) for one in rules.targets)
        ignore = None if rules.ignore is None else back.get(rules.ignore, rules.ignore)
    except LookupError as error:
        raise DataError("The bundle does not know all labels of its dataset.", "") from error
    return replace(rules, targets=targets, ignore=ignore)
