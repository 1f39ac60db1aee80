"""A trained model from whatever a person names: a bundle, a results folder, or a dataset and a network."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BundleError, ConfigError, DataError
from .recipe import LoadedModel

if TYPE_CHECKING:
    from ..data.folders import Folders

FINAL = "checkpoint_final.pth"
_MANIFEST = "MANIFEST.json"
_CONFIG = "3d_fullres"


def load(
    model: str | Path,
    folds: Sequence[int | str] | None = None,
    checkpoint: str = FINAL,
    places: "Folders | None" = None,
    expect: str | None = None,
) -> LoadedModel:
    """Read a trained model into memory; nothing in it is run as code.

    Parameters
    ----------
    model: a bundle (folder or .tar); nnU-Net's results folder TRAINER__PLANS__CONFIGURATION, or a dataset's with
        exactly one such folder in it; or DATASET:NET[:PRESET[:CONFIGURATION]] for one that was trained here.
    folds: which to average; None: all.
    checkpoint: which file of each fold of a results folder.
    places: where DATASET:NET is looked for; None: the folders in force.
    expect: the digest that the model has to have, "sha256:..." or its hexadecimal part.

    Raises DataError when it is not there or damaged, ConfigError when it is not clear which one is meant, and
    BundleError for a bundle that is refused or a digest that is another.
    """
    if model == "":
        raise ConfigError("The name of the model is empty.", "Is it a variable of the shell that is not set?")
    path = Path(model).expanduser()
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        raise DataError(f"{path} cannot be read: permission denied.", "Ask its owner for the right to read it.")
    if path.is_file() or (path / _MANIFEST).is_file():
        return _bundle(path, folds, expect)
    if path.is_dir():
        folder = results_folder(path)
    elif ":" in str(model):
        folder = trained_folder(str(model), places)
    else:
        raise DataError(
            f"There is no model {path}.", "Give a bundle, a results folder, or DATASET:NET of a network trained here."
        )
    from ..bundle.opened import as_digest
    from ..nnunet.loaded import load_folder

    wanted = None if expect is None else as_digest(expect)
    found = load_folder(folder, folds, checkpoint)
    if wanted is not None and found.digest != wanted:
        raise BundleError(f"{folder} is not the model that was asked for.", f"Its digest is {found.digest}.")
    return found


def _bundle(path: Path, folds: Sequence[int | str] | None, expect: str | None) -> LoadedModel:
    if path.is_file() and path.suffix != ".tar":
        hint = "Give the folder TRAINER__PLANS__CONFIGURATION that it lies in." if path.suffix == ".pth" else ""
        raise DataError(f"{path} is a file and no bundle (.tar).", hint or "Give a bundle or a results folder.")
    from .. import bundle

    found: LoadedModel = bundle.load(path, expect=expect, folds=folds)
    return found


def results_folder(folder: Path) -> Path:
    """The one model in a folder: itself, or the only one that lies in it. DataError, ConfigError when it is not one."""
    if (folder / "plans.json").is_file():
        return folder
    if folder.name.startswith("fold_") and (folder.parent / "plans.json").is_file():
        raise DataError(f"{folder} is one fold of a model.", f"Give {folder.parent} and --folds {folder.name[5:]}.")
    models = models_in(folder)
    if not models:
        raise DataError(
            f"{folder} holds no model.",
            f"A bundle has a {_MANIFEST}; a results folder TRAINER__PLANS__CONFIGURATION a plans.json.",
        )
    if len(models) > 1:
        raise ConfigError(f"{folder} holds {len(models)} models.", f"Give one: {_listed(models)}.")
    return models[0]


def models_in(folder: Path) -> list[Path]:
    """The folders TRAINER__PLANS__CONFIGURATION in a folder, by name."""
    return sorted(path.parent for path in folder.glob("*__*__*/plans.json"))


def _listed(models: Sequence[Path]) -> str:
    return ", ".join(path.name for path in models)


def trained_folder(text: str, places: "Folders | None" = None) -> Path:
    """The results folder of DATASET:NET[:PRESET[:CONFIGURATION]]; NET is a network or the name of a trainer.

    Raises ConfigError when the text or the network is none, DataError when there is no such model, with those there.
    """
    from ..data.folders import folders
    from ..networks import info
    from ..nnunet import presets

    dataset, network, *rest = text.split(":")
    if not dataset or not network or len(rest) > 2:
        raise ConfigError(f"{text!r} names no model.", "Write DATASET:NET, or DATASET:NET:PRESET:CONFIGURATION.")
    preset, configuration = [*rest, *("default", _CONFIG)[len(rest) :]]
    where = places or folders()
    home = _dataset_results(dataset, where)
    if network.startswith("nnUNetTrainer"):
        found = [path for path in models_in(home) if path.name.startswith(f"{network}__")]
        found = [path for path in found if path.name.endswith(f"__{configuration}")]
    else:
        chosen = presets.preset(network, preset)
        name = f"{info(chosen.network).trainer}__{presets.plans_name(chosen.network, preset)}__{configuration}"
        found = [path for path in models_in(home) if path.name == name]
    if len(found) == 1:
        return found[0]
    problem = "Several models go" if found else "No trained model goes"
    raise DataError(f"{problem} with {text!r}.", f"In {home}: {_listed(found or models_in(home)) or 'none'}.")


def _dataset_results(dataset: str, places: "Folders") -> Path:
    """Where the models of a dataset lie: by the name or number of a folder of results, else as `data.find` knows it."""
    known = [path for path in sorted(places.results.glob("Dataset[0-9][0-9][0-9]_*")) if path.is_dir()]
    for path in known:
        number, _, name = path.name.removeprefix("Dataset").partition("_")
        wanted = dataset.strip().lower()
        if wanted in (path.name.lower(), name.lower()) or (wanted.isdigit() and int(wanted) == int(number)):
            return path
    from ..data.find import dataset_id, near

    try:
        number = f"{dataset_id(dataset, places):03d}"
    except DataError as error:
        if alike := near(dataset, [path.name.partition("_")[2] for path in known]):
            raise DataError(error.problem, f"Did you mean {' or '.join(alike)}, trained here?") from error
        raise
    for path in known:
        if path.name.startswith(f"Dataset{number}_"):
            return path
    there = ", ".join(path.name for path in known) or "none"
    raise DataError(f"Nothing was trained on dataset {dataset} yet.", f"In {places.results}: {there}.")
