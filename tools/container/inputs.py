"""What each platform mounts, laid below a folder that stands for the container's root.

Real cases where the folder of sample data is beside the checkout, volumes of noise otherwise. One case of most inputs
is called after the canary, a word that may appear in no log and no report.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from tests.site import made

CANARY = "ZZPHIZZ"
BRATS = ("t1n", "t1c", "t2w", "t2f")
VOLUMES = "mlcommons/volumes"
PARAMETERS = f"{VOLUMES}/parameters"


@dataclass(frozen=True)
class Source:
    """Where cases come from."""

    data: Path | None
    """../shared/data, or None."""
    cases: int = 3

    def hippocampi(self) -> list[tuple[str, Path, Path]]:
        """(name, image, label map) of single-channel cases. Empty without data."""
        if self.data is None:
            return []
        home = self.data / "Dataset004_Hippocampus"
        labels = sorted((home / "labelsTs").glob("*.nii.gz"))[: self.cases]
        names = [CANARY, *(path.name.removesuffix(".nii.gz") for path in labels[1:])]
        images = [home / "imagesTs" / path.name.replace(".nii.gz", "_0000.nii.gz") for path in labels]
        return list(zip(names, images, labels, strict=True))


Fill = Callable[[Path, Source], int]
"""Lays inputs below a root; returns the number of cases."""


def nothing(root: Path, source: Source) -> int:
    """An empty folder of inputs."""
    (root / "input").mkdir(parents=True)
    return 0


def native(root: Path, source: Source) -> int:
    """nnU-Net's names, and label maps beside them."""
    return _lay(source, root / "input", root / "input" / "labels")


def medperf(root: Path, source: Source) -> int:
    """The volume of data."""
    return _lay(source, root / VOLUMES / "data", None)


def medperf_prepared(root: Path, source: Source) -> int:
    """What a data preparator made."""
    return _lay(source, root / VOLUMES / "data", root / VOLUMES / "labels")


def medperf_raw(root: Path, source: Source) -> int:
    """What a data preparator gets."""
    return _lay(source, root / VOLUMES / "raw_data", root / VOLUMES / "raw_labels")


def medperf_scored(root: Path, source: Source) -> int:
    """What an evaluator gets: references twice, so that every score is known."""
    count = _lay(source, root / "elsewhere", root / VOLUMES / "labels")
    shutil.copytree(root / VOLUMES / "labels", root / VOLUMES / "predictions")
    return count


def parameters(root: Path) -> None:
    """The parameters of the benchmark that docker/medperf has as its example."""
    (root / PARAMETERS).mkdir(parents=True)
    example = Path(__file__).parents[2] / "docker" / "medperf" / "parameters.yaml"
    shutil.copyfile(example, root / PARAMETERS / "parameters_file.yaml")


def _lay(source: Source, images: Path, labels: Path | None) -> int:
    images.mkdir(parents=True)
    if labels is not None:
        labels.mkdir(parents=True)
    for name, image, label in source.hippocampi():
        shutil.copyfile(image, images / f"{name}_0000.nii.gz")
        if labels is not None:
            shutil.copyfile(label, labels / f"{name}.nii.gz")
    if source.data is None:
        for number, name in enumerate((CANARY, "case_2")):
            volume = made.image(images / f"{name}_0000.nii.gz", number)
            if labels is not None:
                _halves(volume, labels / f"{name}.nii.gz")
    return source.cases if source.data else 2


def _halves(image: Path, file: Path) -> None:
    """A label map on an image's grid, by a threshold."""
    sitk.WriteImage(sitk.Cast(sitk.ReadImage(str(image)) > 0, sitk.sitkUInt8), str(file))


def dicom(root: Path, source: Source) -> int:
    """A folder of slices a case."""
    if source.data is None:
        raise LookupError("DICOM series are in the sample data only")
    series = sorted((source.data / "dicom").glob("mr_*"))
    for number, folder in enumerate(series):
        shutil.copytree(
            folder, root / "input" / (CANARY if number == 0 else folder.name), copy_function=shutil.copyfile
        )
    return len(series)


def grand_challenge(root: Path, source: Source) -> int:
    """One case, .mha, with its list of sockets."""
    made.sockets(root / "input", {"mr": CANARY})
    for _, image, _ in source.hippocampi()[:1]:
        sitk.WriteImage(sitk.ReadImage(str(image)), str(root / "input" / "images" / "mr" / f"{CANARY}.mha"))
    return 1


def brats_2025(root: Path, source: Source) -> int:
    """Subjects in /input."""
    return _subjects(root / "input", source)


def brats_mlcube(root: Path, source: Source) -> int:
    """Subjects where MLCubes have them."""
    return _subjects(root / "mlcube_io0", source)


def _subjects(folder: Path, source: Source) -> int:
    if source.data is None:
        return len(made.subjects(folder, 2))
    images = source.data / "Dataset137_BraTSTiny" / "imagesTr"
    cases = sorted(path.name.removesuffix("_0000.nii.gz") for path in images.glob("*_0000.nii.gz"))[: source.cases]
    for number, case in enumerate(cases, start=1):
        name = f"BraTS-GLI-{number:05}-000"
        (folder / name).mkdir(parents=True)
        for channel, contrast in enumerate(BRATS):
            shutil.copyfile(images / f"{case}_{channel:04}.nii.gz", folder / name / f"{name}-{contrast}.nii.gz")
    return len(cases)
