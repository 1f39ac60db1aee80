import os
import subprocess
import sys
from pathlib import Path

import pytest

from medmamba.networks import infos
from medmamba.nnunet import door, trainers

_SEARCH = """
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find
cls = find("nnUNetTrainerSegMamba")
print(cls.__module__, cls.__name__)
"""


def test_the_registry_names_the_trainers() -> None:
    assert {info.name: info.trainer for info in infos() if info.trainer} == {
        trainer.network_name: trainer.__name__ for trainer in trainers.ALL
    }


def test_nnunets_own_search_finds_a_trainer() -> None:
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        pytest.skip("torchvision does not import here, so nnU-Net's own search of trainers cannot")
    environment = {
        **os.environ,
        "nnUNet_extTrainer": str(door.folder()),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run([sys.executable, "-c", _SEARCH], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "medmamba.nnunet.trainers nnUNetTrainerSegMamba"


def test_the_door_offers_every_trainer() -> None:
    from medmamba.nnunet.ext import medmamba_trainers

    assert sorted(medmamba_trainers.__all__) == sorted(trainer.__name__ for trainer in trainers.ALL)
    assert all(getattr(medmamba_trainers, trainer.__name__) is trainer for trainer in trainers.ALL)
