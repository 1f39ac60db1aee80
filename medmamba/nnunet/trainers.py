"""One trainer class per network. What differs between them is in plans/<network>.json."""

from typing import Any

from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size

from ..errors import ConfigError
from .loop.trainer import MedMambaTrainer
from .registration.trainer import RegistrationTrainer


class nnUNetTrainerUMambaBot(MedMambaTrainer):  # noqa: N801  (nnU-Net's way of naming trainers)
    """U-Mamba with Mamba in the bottleneck (Ma et al. 2024)."""

    network_name = "umamba-bot"


class nnUNetTrainerUMambaEnc(MedMambaTrainer):  # noqa: N801
    """U-Mamba with Mamba in the encoder (Ma et al. 2024)."""

    network_name = "umamba-enc"


class nnUNetTrainerSegMamba(MedMambaTrainer):  # noqa: N801
    """SegMamba (Xing et al. 2024)."""

    network_name = "segmamba"


class nnUNetTrainerSegMambaV2(MedMambaTrainer):  # noqa: N801
    """SegMamba-V2 (Xing et al. 2025)."""

    network_name = "segmamba-v2"


class nnUNetTrainerLightMUNet(MedMambaTrainer):  # noqa: N801
    """LightM-UNet (Liao et al. 2024)."""

    network_name = "lightm-unet"


class nnUNetTrainerVivim(MedMambaTrainer):  # noqa: N801
    """Vivim (Yang et al. 2024) on clips: the first array axis is time.

    Frames of a clip are turned, scaled and mirrored together and in their plane only, for the network is not symmetric
    in time.
    """

    network_name = "vivim"

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, bool, Any, tuple[int, ...]]:  # noqa: N802
        rotation, _, _, _ = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        patch_size = self.configuration_manager.patch_size
        sampled = get_patch_size(patch_size, rotation, rotation, rotation, (0.85, 1.25))
        sampled[0] = patch_size[0]
        self.inference_allowed_mirroring_axes = (1, 2)
        return rotation, True, sampled, (1, 2)


class nnUNetTrainerMambaMorph(RegistrationTrainer):  # noqa: N801
    """MambaMorph (Guo et al. 2024), which registers images."""

    network_name = "mambamorph"


class PlansTrainer(MedMambaTrainer):
    """The network of the plans as they are, by nnU-Net's recipe: for a comparison of the loops alone."""

    network_name = ""


ALL: tuple[type[MedMambaTrainer], ...] = (
    nnUNetTrainerUMambaBot,
    nnUNetTrainerUMambaEnc,
    nnUNetTrainerSegMamba,
    nnUNetTrainerSegMambaV2,
    nnUNetTrainerLightMUNet,
    nnUNetTrainerVivim,
    nnUNetTrainerMambaMorph,
)


def for_network(network: str) -> type[MedMambaTrainer]:
    """The trainer of a network. ConfigError when there is none."""
    found = next((trainer for trainer in ALL if trainer.network_name == network), None)
    if found is None:
        known = ", ".join(trainer.network_name for trainer in ALL)
        raise ConfigError(f"There is no nnU-Net trainer for network {network!r}.", f"There is one for: {known}.")
    return found


def by_name(name: str) -> type[MedMambaTrainer] | None:
    """Our trainer of that class name; None when it is not one of ours."""
    return next((trainer for trainer in ALL if trainer.__name__ == name), None)
