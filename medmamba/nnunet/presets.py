"""Network presets: plans/<network>[-<preset>].json, read and checked.

A preset says which keyword arguments of a network differ from its defaults ("config") and how it is trained ("recipe").
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigError
from ..networks import info
from ..resources import folder
from .registration.options import RegistrationRecipe

DEFAULT = "default"
TWINS = ("conv", "identity")
"""What may stand in place of the scan: a gated convolution, or nothing."""


class Recipe(BaseModel):
    """How a network is trained. What is not given here is stock nnU-Net's: losses, augmentation, gradient clip 12."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    """"sgd" is nnU-Net's: Nesterov momentum 0.99."""
    learning_rate: float = Field(1e-2, gt=0)
    weight_decay: float = Field(3e-5, ge=0)
    eps: float = Field(1e-8, gt=0)
    """Of adam and adamw."""
    schedule: Literal["poly", "cosine", "constant"] = "poly"
    """"poly": (1 - epoch / epochs)^0.9; "cosine": half a cosine down to `final_fraction`; "constant": as it is."""
    final_fraction: float = Field(0.0, ge=0, lt=1)
    """Where the cosine ends, as a fraction of the learning rate."""
    warmup_epochs: int = Field(0, ge=0)
    """Epochs of linear rise before the schedule begins."""
    epochs: int = Field(1000, gt=0)
    iterations: int = Field(250, gt=0)
    """Training batches an epoch."""
    validation_iterations: int = Field(50, gt=0)
    """Validation batches an epoch."""
    batch_size: int | None = Field(None, gt=0)
    """None: as planned for the memory at hand."""
    patch_size: tuple[int, ...] | None = None
    """Voxels in the plan's axis order, cut to the images' median size; None, and for
    configurations with another number of axes: as planned for the memory at hand."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    registration: RegistrationRecipe | None = None
    """Of registration networks: pairs, losses and use; None: the authors' losses and no augmentation."""

    @property
    def save_every(self) -> int:
        """Epochs between two checkpoint_latest.pth: nnU-Net's 50, or ten times in a short run."""
        return max(1, min(50, self.epochs // 10))

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        if epoch < self.warmup_epochs:
            return self.learning_rate * (epoch + 1) / (self.warmup_epochs + 1)
        if self.schedule == "constant":
            return self.learning_rate
        done = min(1.0, (epoch - self.warmup_epochs) / max(1, self.epochs - self.warmup_epochs))
        if self.schedule == "poly":
            return self.learning_rate * (1 - done) ** 0.9
        fraction = self.final_fraction + (1 - self.final_fraction) * (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * fraction

    def changed(self, **values: Any) -> "Recipe":
        """A checked copy in which every value that is not None replaces this recipe's. Raises ConfigError."""
        given = {key: value for key, value in values.items() if value is not None}
        return _checked(Recipe, {**self.model_dump(), **given}, "The training options")


class Preset(BaseModel):
    """One file of plans/."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str
    preset: str
    about: str
    """For whom it is, in one sentence."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the network class that override what the plan and the class say."""
    recipe: Recipe
    reproduces: bool = False
    """A published setting: patch and batch size stay as they are, whatever memory there is."""
    reference: str = ""


def _checked(model: Any, content: Mapping[str, Any], where: str) -> Any:
    try:
        return model(**content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where}: {key}: {first['msg']} (got {first['input']!r}).", "Correct this value.") from error


def file_name(network: str, name: str = DEFAULT) -> str:
    """`segmamba.json`, `segmamba-small.json`."""
    return f"{network}.json" if name == DEFAULT else f"{network}-{name}.json"


def plans_name(network: str, name: str = DEFAULT) -> str:
    """What nnU-Net calls the plans that carry a network: `nnUNetPlans_segmamba`, `nnUNetPlans_segmamba-small`."""
    return f"nnUNetPlans_{file_name(network, name).removesuffix('.json')}"


def read(path: Path) -> Preset:
    """The preset in a file. ConfigError names the file and the key when something is wrong in it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}.", "Correct or restore the file.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no JSON object.", "See the other files beside it.")
    found: Preset = _checked(Preset, content, str(path))
    if path.name != file_name(found.network, found.preset):
        raise ConfigError(
            f"{path}: network {found.network!r} and preset {found.preset!r} belong into another file.",
            f"Rename it to {file_name(found.network, found.preset)}.",
        )
    return found


def names(network: str) -> tuple[str, ...]:
    """The presets that a network has, "default" first."""
    files = (
        path for path in folder("plans").glob("*.json") if path.stem == network or path.stem.startswith(f"{network}-")
    )
    found = [preset.preset for preset in map(read, sorted(files)) if preset.network == network]
    return tuple(sorted(found, key=lambda name: (name != DEFAULT, name)))


def twin_name(name: str, twin: str) -> str:
    """What the twin of a preset is called: `small-conv`; of the default preset `conv`. ConfigError for no twin."""
    if twin not in TWINS:
        raise ConfigError(f"There is no twin {twin!r}.", f"Twins: {', '.join(TWINS)}.")
    return twin if name == DEFAULT else f"{name}-{twin}"


@cache
def preset(network: str, name: str = DEFAULT) -> Preset:
    """The preset of a network by name; every preset has its twins without a scan, `twin_name`, without files of theirs.

    ConfigError lists what there is when this one or the network is not.
    """
    path = folder("plans") / file_name(info(network).name, name)
    if path.is_file():
        return read(path)
    base, _, twin = name.rpartition("-")
    if twin in TWINS and (folder("plans") / file_name(info(network).name, base or DEFAULT)).is_file():
        return _twin(preset(network, base or DEFAULT), twin)
    there = ", ".join(names(network)) or "none"
    raise ConfigError(
        f"Network {network!r} has no preset {name!r}.",
        f"Presets of it: {there}; its twins without a scan: {', '.join(TWINS)}, small-{TWINS[0]}, ...",
    )


def _twin(of: Preset, twin: str) -> Preset:
    what = {"conv": "a gated convolution", "identity": "nothing"}[twin]
    about = f"As {of.preset}, with {what} in place of the scan."
    config = {**of.config, "mixer": twin}
    named = {"preset": twin_name(of.preset, twin), "about": about, "config": config, "reproduces": False}
    return of.model_copy(update=named)
