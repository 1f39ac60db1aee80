"""A trained registration network read into memory: from a bundle, a results folder, or by dataset and network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..bundle.loading import load_registration_model
from ..errors import ConfigError, DataError
from ..files import read_json
from ..networks import info, network_class
from ..nnunet import checkpoints
from ..nnunet.loaded import check_weights, checkpoint_files, folder_digest
from ..nnunet.plans import STAMP, carried_network, resolve
from ..predict.loading import results_folder, trained_folder
from .network import RegistrationModel, Use, ready, use_of

_MANIFEST = "MANIFEST.json"


def load_model(what: str | Path) -> RegistrationModel:
    """The registration model that a person names; nothing in it is run as code. On the CPU.

    what: a bundle (folder or .tar), nnU-Net's results folder, or DATASET:mambamorph[:PRESET[:CONFIGURATION]] for one
    that was trained here. Of a results folder the folds' best checkpoints count, those of numbered folds together.

    Raises DataError when it is not there or damaged, ConfigError for a segmentation model or where it is not clear
    which one is meant, BundleError for a bundle that is refused.
    """
    path = Path(what).expanduser()
    if path.is_file() or (path / _MANIFEST).is_file():
        return load_registration_model(path)
    if path.is_dir():
        return load_results(results_folder(path))
    if ":" in str(what):
        return load_results(trained_folder(str(what)))
    raise DataError(
        f"There is no model {what}.",
        "Give a bundle, a results folder, or DATASET:mambamorph of a network trained here.",
    )


def load_results(
    folder: Path, folds: Sequence[int | str] | None = None, checkpoint: str | None = None
) -> RegistrationModel:
    """The model in a results folder TRAINER__PLANS__CONFIGURATION; see `load_model`.

    checkpoint: the name of each fold's file; None: the best by validation where there is one, else the final one.
    """
    files = checkpoint_of_folds(folder, folds, checkpoint).values()
    plans = read_json(folder / "plans.json")
    name, arguments, use = described(plans, folder.name.rpartition("__")[2])
    networks = []
    for file in files:
        weights = checkpoints.read(file)["network_weights"]
        network = network_class(name)(input_channels=1, **arguments)
        check_weights(network, weights, str(file))
        network.load_state_dict(weights)
        networks.append(ready(network))
    digest = folder_digest(folder, [folder / "dataset.json", folder / "plans.json", *files])
    return RegistrationModel(tuple(networks), use, str(folder), digest)


def checkpoint_of_folds(
    folder: Path, folds: Sequence[int | str] | None = None, checkpoint: str | None = None
) -> dict[str, Path]:
    """Fold -> its checkpoint file; arguments as `load_results`. DataError where there is none."""
    files = checkpoint_files(folder, folds, checkpoint or checkpoints.FINAL)
    if checkpoint is None:
        files = [best if (best := file.with_name(checkpoints.BEST)).is_file() else file for file in files]
    return {file.parent.name.removeprefix("fold_"): file for file in files}


def described(plans: Mapping[str, Any], configuration: str) -> tuple[str, dict[str, Any], Use]:
    """(network, its arguments, its use) of a registration network's plans.

    Raises ConfigError for plans of a segmentation network, DataError for plans that no training has completed.
    """
    whole = resolve(plans, configuration)
    name = carried_network(whole)
    if name is None or info(name).task != "registration":
        raise ConfigError("This model segments images; it does not register them.", "Give one of mambamorph.")
    return name, dict(whole["architecture"]["arch_kwargs"]), use_of(note_of(plans))


def note_of(plans: Mapping[str, Any]) -> dict[str, Any]:
    """What training notes in a registration network's plans, plain values. DataError where there is nothing."""
    note = (plans.get(STAMP) or {}).get("registration")
    if not isinstance(note, Mapping):
        raise DataError("These plans lack what training notes of registration.", "Take plans.json beside the model.")
    return dict(note)
