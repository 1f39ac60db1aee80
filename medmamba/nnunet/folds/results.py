"""The trained models of a dataset, as they lie in nnU-Net's results folder."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...errors import DataError
from ...files import read_json
from .. import host, presets, trainers
from .. import plans as network_plans
from .parse import Fold, as_text


@dataclass(frozen=True)
class TrainedModel:
    """A model folder TRAINER__PLANS__CONFIGURATION, ours or stock nnU-Net's."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name, by which nnU-Net's files know it."""
        return self.folder.name

    @property
    def parts(self) -> tuple[str, str, str]:
        """Trainer, plans, configuration. DataError when the folder's name does not say them."""
        names = self.folder.absolute().name.split("__")
        if len(names) != 3:
            raise DataError(f"{self.folder} is no model folder.", "Its name is TRAINER__PLANS__CONFIGURATION.")
        return names[0], names[1], names[2]

    @cached_property
    def network(self) -> tuple[str, str] | None:
        """Network and preset where `medmamba train` made it under its usual name; None for any other."""
        trainer, plans, _ = self.parts
        stamp = read_json(self.folder / "plans.json").get(network_plans.STAMP, {})
        name, preset = stamp.get("network", ""), stamp.get("preset", presets.DEFAULT)
        ours = trainers.by_name(trainer)
        usual = ours is not None and ours.network_name == name and plans == presets.plans_name(name, preset)
        return (name, preset) if usual else None

    @property
    def label(self) -> str:
        """A short name for people: `umamba-bot small 3d_fullres`, `nnUNetTrainer nnUNetPlans 3d_fullres`."""
        trainer, plans, configuration = self.parts
        first = self.network or (trainer, plans)
        return " ".join((*(part for part in first if part != presets.DEFAULT), configuration))

    def arguments(self, dataset: str) -> str:
        """What names this model on medmamba's command line."""
        if self.network is None:
            return f"--model {shlex.quote(str(self.folder))}"
        name, preset = self.network
        return f"--dataset {dataset} --net {name} --preset {preset} --config {self.parts[2]}"

    def reference(self, dataset: str) -> str:
        """What names this model after `medmamba predict --model`."""
        if self.network is None:
            return shlex.quote(str(self.folder))
        return ":".join((dataset, *self.network, self.parts[2]))

    def train_command(self, folds: Sequence[Fold]) -> str:
        """The command that trains folds of this model."""
        trainer, plans, configuration = self.parts
        if self.network is not None:
            return f"medmamba train {self.arguments(self.folder.parent.name)} --folds {as_text(folds)}"
        return f"nnUNetv2_train {self.folder.parent.name} {configuration} FOLD -tr {trainer} -p {plans}"

    def validate_command(self, folds: Sequence[Fold]) -> str:
        """The command that validates folds of this model."""
        return f"medmamba validate {self.arguments(self.folder.parent.name)} --folds {as_text(folds)}"


def trained_models(dataset_id: int) -> list[TrainedModel]:
    """Every model folder of a dataset with at least one fold, by name. DataError when there is none."""
    place = host.folder("nnUNet_results") / host.dataset_name(dataset_id)
    found = [
        TrainedModel(path)
        for path in sorted(place.glob("*__*__*"))
        if path.name.count("__") == 2 and (path / "plans.json").is_file() and any(path.glob("fold_*"))
    ]
    if not found:
        raise DataError(f"{place} holds no trained model.", "Train first: medmamba train --folds 0-4 ...")
    return found
