"""The network of a trained model, built from its plans without nnU-Net's search through all of its trainers.

That search imports every trainer and takes seconds. Most trainers leave the network to the plans; which ones do is
read from their source.
"""

import ast
import inspect
import re
import warnings
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from pydoc import ErrorDuringImport, locate
from typing import Any

from torch import nn

from ..errors import ConfigError, DataError
from ..networks import info, infos
from . import host
from . import plans as network_plans
from .labels import channel_names, read_labels

_STOCK = "nnUNetTrainer"
_BUILDS = "build_network_architecture"
_TRUSTED = ("medmamba.networks.", "dynamic_network_architectures.")
"""Packages whose classes a model without a trainer may name."""


def make_network(
    plans: Mapping[str, Any], dataset: Mapping[str, Any], configuration: str, trainer_name: str | None
) -> nn.Module:
    """The network of one configuration, in eval mode and without deep supervision; its weights are random.

    Parameters
    ----------
    plans, dataset, configuration: as for `medmamba.nnunet.recipe.make_recipe`.
    trainer_name: the class that trained it, which may build another network than the plans say. None: the plans alone
        count, and the network has to be one of medmamba's or nnU-Net's own.

    Raises ConfigError when the trainer or the network's class cannot be found, or may not be used.
    """
    whole = network_plans.resolve(plans, configuration)
    carried = network_plans.carried_network(whole)
    if carried is not None and info(carried).task == "registration":
        raise ConfigError(
            f"This is a model of {carried}, which registers images; it does not segment them.",
            "Use it with medmamba register --model.",
        )
    labels = read_labels(dataset)
    inputs = len(channel_names(dataset)) + (len(labels.foreground) if whole.get("previous_stage") else 0)
    if trainer_name is None:
        class_path = whole["architecture"]["network_class_name"]
        if not class_path.startswith(_TRUSTED):
            raise ConfigError(
                f"The plans name the network class {class_path}.",
                "Without its trainer only networks of medmamba and nnU-Net are built.",
            )
    if trainer_name is None or builds_plans(trainer_name):
        network = _from_plans(whole["architecture"], inputs, labels.heads, trainer_name is None)
    else:
        network = _by_trainer(trainer_name, plans, configuration, inputs, labels.heads)
    return network.eval()


@cache
def builds_plans(trainer: str) -> bool:
    """Whether a trainer builds the plans' network: ours do, one in nnU-Net's folder is judged by its source.

    False where it, or one of its bases, has an own way, and for a class that is not there or is there twice.
    """
    if trainer == _STOCK or trainer in {entry.trainer for entry in infos()}:
        return True
    pattern = re.compile(rf"^class {re.escape(trainer)}\b", re.MULTILINE)
    files = [file for file, text in _sources().items() if pattern.search(text)]
    if len(files) != 1:
        return False
    tree = ast.parse(_sources()[files[0]])
    definitions = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == trainer]
    if len(definitions) != 1 or definitions[0].keywords or definitions[0].decorator_list:
        return False
    if any(_BUILDS in ast.unparse(node) for node in definitions[0].body):
        return False
    bases = [base.id for base in definitions[0].bases if isinstance(base, ast.Name)]
    return len(bases) == len(definitions[0].bases) > 0 and all(map(builds_plans, bases))


@cache
def _sources() -> dict[Path, str]:
    """The source of every trainer in nnU-Net's folder."""
    spec = find_spec("nnunetv2")
    assert spec is not None and spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "training" / _STOCK
    return {file: file.read_text(encoding="utf-8", errors="replace") for file in folder.rglob("*.py")}


def _from_plans(architecture: Mapping[str, Any], inputs: int, outputs: int, restricted: bool) -> nn.Module:
    """The plans' network, as nnU-Net builds it but for the random start, which a trained model does not need."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    class_path, arguments = architecture["network_class_name"], dict(architecture["arch_kwargs"])
    imported = list(architecture.get("_kw_requires_import", ()))
    if restricted:
        _refuse_imports(arguments, imported)
    try:
        with host.muted(), warnings.catch_warnings():  # nnU-Net tells of classes that have moved
            warnings.simplefilter("ignore")
            _require_network(class_path)
            network: nn.Module = get_network_from_plans(
                class_path, arguments, imported, inputs, outputs, allow_init=False, deep_supervision=False
            )
    except (ImportError, ErrorDuringImport, TypeError, ValueError, LookupError, AttributeError, RuntimeError) as error:
        raise ConfigError(
            f"The plans' network {class_path} cannot be built: {error}.", "Install its package, or take other plans."
        ) from error
    return network


def _require_network(class_path: str) -> None:
    """Refuse what is there under this name and is no network, before nnU-Net calls it."""
    found = locate(class_path)
    if found is not None and not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ConfigError(f"The plans' network {class_path} is no network.", "Take other plans.")


def _refuse_imports(arguments: Mapping[str, Any], imported: list[str]) -> None:
    """Arguments that name a class may name layers only."""
    for key in imported:
        path = arguments.get(key)
        if path is not None and not str(path).startswith(("torch.nn.", *_TRUSTED)):
            raise ConfigError(f"The plans' network takes {path!r} as {key}.", "Only layers of torch.nn are built.")


def _by_trainer(name: str, plans: Mapping[str, Any], configuration: str, inputs: int, outputs: int) -> nn.Module:
    """The network that a trainer builds, by nnU-Net's own search."""
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    with host.muted():
        try:
            trainer: Any = recursive_find_trainer_class_by_name(name)
        except RuntimeError as error:
            raise ConfigError(
                f"The model's trainer {name} was not found.", "Set nnUNet_extTrainer to the folder that has it."
            ) from error
        manager = PlansManager(dict(plans))
        chosen = manager.get_configuration(configuration)
        build = trainer.build_network_architecture
        if "plans_manager" in inspect.signature(build).parameters:
            network: nn.Module = build(manager, chosen, inputs, outputs, enable_deep_supervision=False)
        else:
            class_path, arguments = chosen.network_arch_class_name, chosen.network_arch_init_kwargs
            imported = chosen.network_arch_init_kwargs_req_import
            network = build(class_path, arguments, imported, inputs, outputs, enable_deep_supervision=False)
    if not isinstance(network, nn.Module):
        raise DataError(f"The trainer {name} builds no network.", "Correct it.")
    return network
