"""Tiny bundles of one channel and of BraTS's four, made once, and a container to call."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from medmamba.bundle.facts import facts_of
from medmamba.bundle.packing import Wording, export
from medmamba.nnunet.loaded import load_folder
from tests.bundle.made import results_folder
from tests.nnunet import plans_by_hand
from tests.site import stand_in
from tests.site.made import Container


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("MEDMAMBA_SITE_", "nnUNet")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports that say all that they are given, but for tests that want the real ones."""
    if "real_report" not in request.keywords:
        monkeypatch.setitem(sys.modules, "medmamba.report", stand_in)


def _bundle(folder: Path, channels: tuple[str, ...]) -> Path:
    plans, dataset = plans_by_hand.plans(len(channels)), plans_by_hand.dataset(len(channels))
    intensities = plans["foreground_intensity_properties_per_channel"]
    plans["foreground_intensity_properties_per_channel"] = {str(n): intensities["0"] for n in range(len(channels))}
    dataset["channel_names"] = {str(number): name for number, name in enumerate(channels)}
    results = results_folder(folder / "results", folds=(0,), plans=plans, dataset=dataset)
    model = load_folder(results)
    export(model, folder / "bundle", facts_of(model, results), Wording())
    return folder / "bundle"


@pytest.fixture(scope="session")
def one_channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _bundle(tmp_path_factory.mktemp("one"), ("CT",))


@pytest.fixture(scope="session")
def brats_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _bundle(tmp_path_factory.mktemp("four"), ("T1", "T1ce", "T2", "FLAIR"))


@pytest.fixture
def container(tmp_path: Path, capfd: Any) -> Container:
    return Container(tmp_path / "root", capfd)


@pytest.fixture
def mounted(container: Container, one_channel: Path) -> Container:
    """With the bundle of one channel at /model."""
    shutil.copytree(one_channel, container.root / "model")
    return container
