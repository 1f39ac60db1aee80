"""A small model and its bundle, made once; tests that change something get a copy."""

import shutil
from pathlib import Path

import pytest

from medmamba.bundle.facts import facts_of
from medmamba.bundle.packing import Wording, export
from medmamba.nnunet.loaded import load_folder
from medmamba.predict.recipe import LoadedModel
from tests.bundle.made import results_folder


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results_folder(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def model(results: Path) -> LoadedModel:
    return load_folder(results)


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory, results: Path, model: LoadedModel) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    export(model, folder, facts_of(model, results), Wording(intended="MR brain", licence="CC-BY-4.0"))
    return folder


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    """A copy of a bundle's folder that a test may change."""
    return shutil.copytree(original, tmp_path / "bundle")
