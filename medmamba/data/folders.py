"""The three folders that nnU-Net works in, from its own variables or from one data root."""

import os
from dataclasses import dataclass
from pathlib import Path

from ..nnunet import door

_DEFAULT_ROOT = "medmamba_data"


@dataclass(frozen=True)
class Folders:
    """nnU-Net's three folders. None of them needs to exist yet."""

    raw: Path
    """Datasets as they came: DatasetXXX_Name/{imagesTr,labelsTr,dataset.json}."""
    preprocessed: Path
    """Fingerprints, plans and preprocessed arrays."""
    results: Path
    """Trained models and their logs."""

    def variables(self) -> dict[str, str]:
        """The environment variables that make stock nnU-Net commands work in these folders with our trainers.

        `nnUNet_extTrainer` keeps the folders it already names; ours is appended once.
        """
        ours = str(door.folder())
        doors = [part for part in os.environ.get("nnUNet_extTrainer", "").split(os.pathsep) if part]
        return {
            "nnUNet_raw": str(self.raw),
            "nnUNet_preprocessed": str(self.preprocessed),
            "nnUNet_results": str(self.results),
            "nnUNet_extTrainer": os.pathsep.join(doors if ours in doors else [*doors, ours]),
        }

    def export(self) -> None:
        """Put `variables()` into this process's environment, where child processes inherit them.

        nnU-Net reads the three folders once, when it is imported: export first, import it afterwards.
        """
        os.environ.update(self.variables())


def folders(data_root: Path | None = None) -> Folders:
    """The folders in force.

    nnU-Net's variables `nnUNet_raw`, `nnUNet_preprocessed` and `nnUNet_results` are honoured, each on its own. What
    they leave open lies under `data_root`, else under the variable `MEDMAMBA_HOME`, else under ./medmamba_data, in
    sub-folders of the variables' names. All paths come back absolute.
    """
    root = Path(data_root or os.environ.get("MEDMAMBA_HOME") or _DEFAULT_ROOT).expanduser().absolute()

    def place(variable: str) -> Path:
        given = os.environ.get(variable)
        return Path(given).expanduser().absolute() if given else root / variable

    return Folders(place("nnUNet_raw"), place("nnUNet_preprocessed"), place("nnUNet_results"))
