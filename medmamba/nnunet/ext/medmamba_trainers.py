"""nnU-Net imports every module of this folder to find a trainer: the classes have to be attributes of the module."""

from medmamba.nnunet.trainers import (
    nnUNetTrainerLightMUNet,
    nnUNetTrainerMambaMorph,
    nnUNetTrainerSegMamba,
    nnUNetTrainerSegMambaV2,
    nnUNetTrainerUMambaBot,
    nnUNetTrainerUMambaEnc,
    nnUNetTrainerVivim,
)

__all__ = [
    "nnUNetTrainerLightMUNet",
    "nnUNetTrainerMambaMorph",
    "nnUNetTrainerSegMamba",
    "nnUNetTrainerSegMambaV2",
    "nnUNetTrainerUMambaBot",
    "nnUNetTrainerUMambaEnc",
    "nnUNetTrainerVivim",
]
