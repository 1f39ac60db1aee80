"""A results folder of nnU-Net's, TRAINER__PLANS__CONFIGURATION, read into memory without running code from it."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import ConfigError, DataError
from ..files import read_json
from ..networks import info
from ..predict.recipe import LoadedModel
from . import checkpoints, presets
from . import plans as network_plans
from .recipe import make_network, make_recipe

Folds = Sequence[int | str] | None
_LABEL_MAP = "label_map.json"


def load_folder(
    folder: Path, folds: Folds = None, checkpoint: str = checkpoints.FINAL, earlier_stage: bool = True
) -> LoadedModel:
    """The model of a results folder.

    Parameters
    ----------
    folder: nnU-Net's TRAINER__PLANS__CONFIGURATION, with plans.json, dataset.json and fold_X/`checkpoint`.
    folds: which to average, numbers or "all"; None: all numbered ones that have the checkpoint, else fold_all.
    earlier_stage: in a cascade, read the model of the stage before it too, which lies beside it.

    Raises DataError when something of it is missing or damaged, ConfigError when it cannot be used.
    """
    folder = Path(folder)
    files = checkpoint_files(folder, folds, checkpoint)
    plans, dataset = read_json(folder / "plans.json"), read_json(folder / "dataset.json")
    with ThreadPoolExecutor(1) as pool:
        digest = pool.submit(folder_digest, folder, [folder / "dataset.json", folder / "plans.json", *files])
        contents = [_content(file) for file in files]
        configuration, trainer = contents[0]["configuration"], contents[0]["trainer"]
        recipe = make_recipe(plans, dataset, configuration, contents[0]["mirror_axes"])
        network = make_network(plans, dataset, configuration, trainer)
        weights = tuple(content["weights"] for content in contents)
        for file, of_fold in zip(files, weights, strict=True):
            check_weights(network, of_fold, str(file))
        network.load_state_dict(weights[0], assign=True)  # the same tensors, not a copy of them
        return LoadedModel(
            recipe=recipe,
            network=network,
            weights=weights,
            folds=tuple(file.parent.name.removeprefix("fold_") for file in files),
            plans=plans,
            dataset=dataset,
            name=str(folder),
            digest=digest.result(),
            precision=wanted_precision(plans, configuration),
            trainer=trainer,
            label_map=_label_map(folder, plans),
            previous=_previous(folder, recipe.previous_stage if earlier_stage else None, folds, checkpoint),
        )


def registers(folder: Path) -> bool:
    """Whether a results folder TRAINER__PLANS__CONFIGURATION is a registration network's; not without plans."""
    if not (folder / "plans.json").is_file():
        return False
    whole = network_plans.resolve(read_json(folder / "plans.json"), folder.name.rpartition("__")[2])
    network = network_plans.carried_network(whole)
    return network is not None and info(network).task == "registration"


def checkpoint_files(folder: Path, folds: Folds, checkpoint: str) -> list[Path]:
    """The checkpoint of each fold. Without a choice: of the numbered folds, else of the one trained on all cases.

    Raises DataError when the folder is no model's or a fold has no such checkpoint, with those that there are.
    """
    if not folder.is_dir():
        raise DataError(f"There is no model folder {folder}.", "Train first, or name another folder.")
    found = sorted(folder.glob(f"fold_*/{checkpoint}"))
    if folds is not None:
        wanted = [folder / f"fold_{fold}" / checkpoint for fold in folds]
        missing = [path.parent.name for path in wanted if path not in found]
        if missing:
            there = ", ".join(path.parent.name for path in found) or "no fold"
            have = "have" if len(found) > 1 else "has"
            raise DataError(f"{folder} has no {checkpoint} in {', '.join(missing)}.", f"{there} {have} one.")
        if not wanted:
            raise DataError("No fold was chosen.", "Name one, or leave the choice out for all of them.")
        return wanted
    numbered = [path for path in found if path.parent.name != "fold_all"]
    if not found:
        others = ", ".join(str(path.relative_to(folder)) for path in sorted(folder.glob("fold_*/*.pth"))) or "none"
        raise DataError(f"{folder} has no {checkpoint} in any fold.", f"Checkpoints there: {others}.")
    return numbered or found


def _content(file: Path) -> dict[str, Any]:
    """What prediction needs of a checkpoint; the optimizer's state is let go."""
    content = checkpoints.read(file)
    arguments = content.get("init_args")
    configuration = arguments.get("configuration") if isinstance(arguments, Mapping) else None
    if not isinstance(configuration, str) or not isinstance(content.get("trainer_name"), str):
        raise DataError(f"{file} does not say which trainer and configuration it is of.", "Use another checkpoint.")
    return {
        "weights": content["network_weights"],
        "configuration": configuration,
        "trainer": content["trainer_name"],
        "mirror_axes": content.get("inference_allowed_mirroring_axes"),
    }


def check_weights(network: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """DataError when a state dict does not belong to the network."""
    own = {name: tensor.shape for name, tensor in network.state_dict().items()}
    given = {name: tensor.shape for name, tensor in weights.items()}
    if own == given:
        return
    wrong = [name for name in own if own[name] != given.get(name)] + [name for name in given if name not in own]
    raise DataError(
        f"The weights in {where} do not fit the network {type(network).__name__} of the plans: {len(wrong)} parameters "
        f"differ, such as {wrong[0]}.",
        "Take the plans.json and dataset.json that belong to it.",
    )


def wanted_precision(plans: Mapping[str, Any], configuration: str) -> str | None:
    """The number format that the recipe of one of our networks asks for; None for a network that is not ours."""
    carried = network_plans.carried_network(network_plans.resolve(plans, configuration))
    stamp = plans.get(network_plans.STAMP) or {"preset": presets.DEFAULT}
    return None if carried is None else presets.preset(carried, stamp["preset"]).recipe.precision


def folder_digest(folder: Path, files: Sequence[Path]) -> str:
    """The digest of a model: what `sha256sum dataset.json plans.json fold_X/... | sha256sum` gives in the folder."""
    lines = []
    for file in files:
        total = hashlib.sha256()
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
        lines.append(f"{total.hexdigest()}  {file.relative_to(folder)}\n")
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def _label_map(folder: Path, plans: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The way back to the dataset's own labels: beside the model, else beside the raw or preprocessed dataset."""
    name = str(plans.get("dataset_name", ""))
    roots = [os.environ.get(variable) for variable in ("nnUNet_raw", "nnUNet_preprocessed")]
    places = [folder, *(Path(root) / name for root in roots if root and name)]
    return next((read_json(place / _LABEL_MAP) for place in places if (place / _LABEL_MAP).is_file()), None)


def _previous(folder: Path, stage: str | None, folds: Folds, checkpoint: str) -> LoadedModel | None:
    """The model that a cascade builds on: the one beside it."""
    if stage is None:
        return None
    place = folder.absolute().with_name(f"{folder.absolute().name.rpartition('__')[0]}__{stage}")
    if not place.is_dir():
        raise ConfigError(
            f"This is a cascade's second stage and there is no first one in {place}.", f"Train {stage} first."
        )
    return load_folder(place, folds, checkpoint)
