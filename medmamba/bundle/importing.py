"""Bundles of other people's checkpoints. Nothing in them is run: tensors and plain values are read, or refused.

A results folder of nnU-Net's brings its plans; so does U-Mamba's, whose trainers build another network than the plans
say. A single file of weights brings none: what images it takes has to be said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from ..files import read_json
from ..nnunet import checkpoints
from ..nnunet.loaded import checkpoint_files, load_folder, wanted_precision
from ..nnunet.plans import STAMP, carried_network, resolve
from ..nnunet.recipe import make_network, make_recipe
from ..predict.recipe import LoadedModel
from . import originals
from .card import Card
from .facts import created, facts_of
from .images import Images, plans_of
from .layout import CARD, serialise, weight_name
from .loading import load_registration
from .packing import Facts, Wording, export, make_card, versions
from .signing import Sign
from .weights import serialise_weights, without_aliases
from .writing import write

Folds = Sequence[int | str] | None
_FOREIGN = {
    "nnUNetTrainerUMambaBot": "UMambaBot",
    "nnUNetTrainerUMambaBotNoAMP": "UMambaBot",
    "nnUNetTrainerUMambaEnc": "UMambaEnc",
    "nnUNetTrainerUMambaEncNoAMP": "UMambaEnc",
    "nnUNetTrainerLightMUNet": "LightMUNet",
}
"""Trainers of the originals' own copies of nnU-Net -> what they build. Some of ours have the same names."""
_LIGHT_M = {"init_filters": 32, "blocks_down": [1, 2, 2, 4], "blocks_up": [1, 1, 1]}
"""What LightM-UNet's trainer gives its network."""


def import_checkpoint(
    source: str | Path,
    target: str | Path,
    upstream: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    images: Images | None = None,
    folds: Folds = None,
    checkpoint: str = checkpoints.FINAL,
    wording: Wording | None = None,
    sign: Sign | None = None,
    self_test: bool = True,
) -> str:
    """Write a bundle of somebody else's checkpoint and return its digest.

    Parameters
    ----------
    source: nnU-Net's results folder, or a file of weights (.pth, .pt, .safetensors).
    upstream: the original class (UMambaBot, SegMamba, ...); for a folder None: by the name of its trainer.
    arguments: of the original class, where they differ from its defaults and from the plans.
    images: for a file of weights, except MambaMorph's.

    Raises DataError for a file that is damaged, could run code or does not fit, ConfigError for what is not said.
    """
    place, said = Path(source), wording or Wording()
    if place.is_dir():
        model, facts = _of_folder(place, upstream, arguments or {}, folds, checkpoint)
        return export(model, target, facts, said, sign, self_test)
    if not place.exists():
        raise DataError(f"There is no {place}.", "Check the path.")
    if upstream is None:
        raise ConfigError(f"Whose checkpoint is {place}?", "Give --upstream CLASS, or nnU-Net's results folder.")
    state = originals.read_weights(place)
    facts = Facts(created([place]), origin=f"{upstream} of its authors, from {place.name}")
    if originals.entry_of(upstream).task == "registration":
        return _registration(upstream, arguments or {}, state, Path(target), facts, said, sign)
    model = _of_file(upstream, arguments or {}, state, images or Images(), said)
    return export(model, target, facts, said, sign, self_test)


# ---- results folders


def _of_folder(
    folder: Path, upstream: str | None, arguments: Mapping[str, Any], folds: Folds, checkpoint: str
) -> tuple[LoadedModel, Facts]:
    plans = read_json(folder / "plans.json")
    files = checkpoint_files(folder, folds, checkpoint)
    contents = [checkpoints.read(file) for file in files]
    trainer, configuration = _trainer(contents[0], files[0])
    ours = carried_network(resolve(plans, configuration))
    original = upstream or (None if ours else _FOREIGN.get(trainer))
    if original is None:
        model = load_folder(folder, folds, checkpoint)
        return model, facts_of(model, folder, checkpoint)
    images = Images(plans=plans, dataset=read_json(folder / "dataset.json"), configuration=configuration)
    states = [content["network_weights"] for content in contents]
    axes = contents[0].get("inference_allowed_mirroring_axes")
    made = [_of_file(original, arguments, state, images, Wording(), axes) for state in states]
    model = replace(
        made[0],
        weights=tuple(one.weights[0] for one in made),
        folds=tuple(file.parent.name.removeprefix("fold_") for file in files),
        trainer=trainer,
    )
    facts = facts_of(model, folder, checkpoint)
    return model, replace(facts, origin=f"{original} of its authors, trained by {trainer}")


def _trainer(content: Mapping[str, Any], file: Path) -> tuple[str, str]:
    """(trainer, configuration) as a checkpoint names them."""
    arguments = content.get("init_args")
    configuration = arguments.get("configuration") if isinstance(arguments, Mapping) else None
    trainer = content.get("trainer_name")
    if not isinstance(configuration, str) or not isinstance(trainer, str):
        raise DataError(f"{file} does not say which trainer and configuration it is of.", "Use another checkpoint.")
    return trainer, configuration


# ---- single files


def _of_file(
    upstream: str, given: Mapping[str, Any], state: Any, images: Images, wording: Wording, axes: Any = None
) -> LoadedModel:
    """The model of an original state dict for these images."""
    if originals.entry_of(upstream).task == "registration":
        raise ConfigError(f"{upstream} registers images; nnU-Net's folders hold none of it.", "Give its file.")
    plans, dataset = plans_of(images, wording.name or upstream)
    configuration = images.configuration
    chosen = resolve(plans, configuration)
    channels = len(dataset.get("channel_names") or dataset["modality"])
    arguments = originals.with_sizes(
        upstream, {**_planned(upstream, chosen), **given}, channels, _outputs(upstream, dataset)
    )
    own, network = originals.converted(upstream, arguments, state)
    chosen["architecture"] = originals.architecture(upstream, own)
    stamp = {"network": originals.entry_of(upstream).name, "preset": "default"}
    plans = {**plans, "configurations": {configuration: chosen}, STAMP: stamp}
    ours = make_network(plans, dataset, configuration, None)
    weights = without_aliases(ours, originals.segmentation_state(upstream, network), f"The checkpoint of {upstream}")
    ours.load_state_dict(weights)
    if axes is None and images.mirror:
        axes = tuple(range(len(chosen["patch_size"])))
    return LoadedModel(
        recipe=make_recipe(plans, dataset, configuration, axes),
        network=ours,
        weights=(ours.state_dict(),),
        folds=("all",),
        plans=plans,
        dataset=dataset,
        name=wording.name or upstream,
        digest="",
        precision=wanted_precision(plans, configuration),
    )


def _planned(upstream: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The original's arguments as its trainer takes them from nnU-Net's plans."""
    planned = (configuration.get("architecture") or {}).get("arch_kwargs") or {}
    patch = list(configuration["patch_size"])
    if upstream.startswith("UMamba") and planned:
        return {**planned, **({"input_size": patch} if upstream == "UMambaEnc" else {})}
    return {"spatial_dims": len(patch), **_LIGHT_M} if upstream == "LightMUNet" else {}


def _outputs(upstream: str, dataset: Mapping[str, Any]) -> int:
    """Channels out for the labels: one each, background first; Vivim judges a single label by a sigmoid."""
    values = [value for name, value in dataset["labels"].items() if name != "ignore"]
    if any(isinstance(value, list | tuple) and len(value) > 1 for value in values):
        return len(dataset["regions_class_order"])
    return 1 if upstream == "Vivim" and len(values) == 2 else len(values)


# ---- registration


def _registration(
    upstream: str,
    arguments: Mapping[str, Any],
    state: Any,
    target: Path,
    facts: Facts,
    wording: Wording,
    sign: Sign | None,
) -> str:
    """A bundle of MambaMorph: weights and arguments; images come as they are."""
    own, network = originals.converted(upstream, arguments, state)
    card: Card = make_card(
        {
            "name": wording.name or upstream,
            "version": wording.version,
            "task": "reg",
            "network": originals.entry_of(upstream).name,
            "network_class": originals.entry_of(upstream).class_path,
            "arguments": own,
            "folds": ["all"],
            "intended": wording.intended,
            "training_data": list(wording.training_data),
            "licence": wording.licence,
            "origin": facts.origin,
            "software": versions(),
        }
    )
    weights = serialise_weights(without_aliases(network, network.state_dict(), f"The checkpoint of {upstream}"))
    files = [(CARD, serialise(card.model_dump())), (weight_name("all"), weights)]
    return write(target, files, facts.created, sign, load_registration)
