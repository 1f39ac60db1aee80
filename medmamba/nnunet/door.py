"""The folder through which stock nnU-Net commands find our trainers."""

from pathlib import Path


def folder() -> Path:
    """What belongs in the environment variable `nnUNet_extTrainer`, which nnU-Net >= 2.8 searches for trainers."""
    return Path(__file__).parent / "ext"
