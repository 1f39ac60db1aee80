"""The bundles that the image is tried with."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from medmamba.bundle import load
from medmamba.bundle.facts import facts_of
from medmamba.bundle.packing import Wording, export
from medmamba.nnunet.loaded import load_folder
from tests.bundle.made import results_folder
from tests.nnunet import plans_by_hand


@dataclass(frozen=True)
class Model:
    """A bundle in a folder of its own."""

    place: Path
    """Folder that holds the bundle and nothing else: what is mounted."""
    digest: str
    """sha256:..."""


def given(path: Path, folder: Path) -> Model:
    """A bundle, folder or .tar, or a results folder of nnU-Net's layout that is made into one."""
    folder.mkdir(parents=True)
    if (path / "plans.json").is_file() and not (path / "MANIFEST.json").is_file():
        return _exported(path, folder)
    target = folder / path.name
    shutil.copytree(path, target) if path.is_dir() else shutil.copyfile(path, target)
    return _checked(folder, target)


def untrained(folder: Path, channels: tuple[str, ...]) -> Model:
    """A small U-Net with random weights, the same ones each time."""
    plans, dataset = plans_by_hand.plans(len(channels)), plans_by_hand.dataset(len(channels))
    intensities = plans["foreground_intensity_properties_per_channel"]["0"]
    plans["foreground_intensity_properties_per_channel"] = {str(number): intensities for number in range(len(channels))}
    dataset["channel_names"] = {str(number): name for number, name in enumerate(channels)}
    folder.mkdir(parents=True)
    results = results_folder(folder.with_name(folder.name + "_results"), folds=(0,), plans=plans, dataset=dataset)
    return _exported(results, folder)


def _exported(results: Path, folder: Path) -> Model:
    target = folder / "bundle"
    model = load_folder(results)
    export(model, target, facts_of(model, results), Wording())
    return _checked(folder, target)


def _checked(folder: Path, bundle: Path) -> Model:
    digest = load(bundle).digest
    return Model(folder, digest if digest.startswith("sha256:") else f"sha256:{digest}")
