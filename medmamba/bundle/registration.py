"""From a trained registration network to a bundle: weights and a card; what it takes to use it is in the card."""

from collections.abc import Sequence
from pathlib import Path

from ..files import read_json
from ..networks import info
from ..nnunet import checkpoints
from ..register.trained import checkpoint_of_folds, described, load_results, note_of
from .card import Card
from .facts import facts_of_folds
from .layout import CARD, serialise, weight_name
from .loading import load_registration
from .packing import Facts, Wording, make_card, training_data, versions
from .signing import Sign
from .weights import serialise_weights, without_aliases
from .writing import require_free, write


def export(
    folder: Path,
    target: str | Path,
    wording: Wording | None = None,
    sign: Sign | None = None,
    folds: Sequence[int | str] | None = None,
    checkpoint: str | None = None,
) -> str:
    """Write the registration model of a results folder as a bundle and return its digest, sha256:...

    Parameters
    ----------
    target: a folder, or a file whose name ends in .tar; not there yet.
    folds, checkpoint: as for `medmamba.register.trained.load_results`.

    The same model gives the same bundle, byte by byte; there is no self-test. Raises as `load_results`, and SetupError
    when the target cannot be written.
    """
    require_free(Path(target))
    files = checkpoint_of_folds(folder, folds, checkpoint)
    model = load_results(folder, folds, checkpoint)
    facts = facts_of_folds(folder, files, read_json(folder / "dataset.json"))
    content = [(CARD, serialise(_card(folder, list(files), facts, wording or Wording()).model_dump()))]
    for fold, network in zip(files, model.networks, strict=True):
        state = checkpoints.read(files[fold])["network_weights"]
        content.append((weight_name(fold), serialise_weights(without_aliases(network, state, f"Fold {fold}"))))
    return write(Path(target), content, facts.created, sign, load_registration)


def _card(folder: Path, folds: Sequence[str], facts: Facts, wording: Wording) -> Card:
    plans, dataset = read_json(folder / "plans.json"), read_json(folder / "dataset.json")
    configuration = folder.name.rpartition("__")[2]
    name, arguments, _ = described(plans, configuration)
    data = str(plans.get("dataset_name", "unknown"))
    return make_card(
        {
            "name": wording.name or f"{data} {name} {configuration}",
            "version": wording.version,
            "task": "reg",
            "network": name,
            "network_class": info(name).class_path,
            "arguments": {"input_channels": 1, **arguments},
            "registration": note_of(plans),
            "configuration": configuration,
            "trainer": info(name).trainer or "",
            "folds": list(folds),
            "intended": wording.intended,
            "training_data": list(wording.training_data) or [training_data(data, dataset)],
            "licence": wording.licence,
            "seeds": dict(facts.seeds),
            "metrics": {fold: dict(found) for fold, found in facts.metrics.items()},
            "software": versions(),
        }
    )
