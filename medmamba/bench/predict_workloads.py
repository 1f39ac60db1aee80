"""What predictions are timed on: images and a model for each workload, made on the spot or the user's own."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ConfigError, DataError
from ..files import read_json
from . import predict_images as images
from .predict_models import PLAIN, ModelShape, make_model
from .predict_report import PredictOptions

Writer = Callable[[Path], None]
"""Writes a workload's images into a folder."""
_QUICK = (48, 48, 40)
"""Voxels (X, Y, Z) of images that only show whether everything runs; small phantoms stay as they are."""
_QUICK_PATCH = (32, 32, 32)
_QUICK_FEATURES = 4


@dataclass(frozen=True)
class Workload:
    """Images and a model, made in code."""

    about: str
    kind: str
    """phantoms, ct or brain."""
    size: tuple[int, int, int]
    """Voxels (X, Y, Z)."""
    spacing: tuple[float, float, float]
    """mm, (Z, Y, X)."""
    model: ModelShape
    cases: int = 1
    mirror: bool = False
    """Both with mirrored copies, unless the user says otherwise. Large images run without: eight times as long."""


_CT = ModelShape(("CT",), 6, (128, 128, 128), (1.5, 1.5, 1.5))
WORKLOADS: Mapping[str, Workload] = {
    "small": Workload(
        "a folder of small images", "phantoms", (36, 50, 36), (1.0, 1.0, 1.0),
        ModelShape(("MRI",), 3, (40, 56, 40), (1.0, 1.0, 1.0)), cases=20, mirror=True,
    ),
    "few": Workload("a large CT, few classes", "ct", (256, 256, 160), (2.0, 1.0, 1.0), _CT),
    "many": Workload("a large CT, many classes", "ct", (256, 256, 160), (2.0, 1.0, 1.0), replace(_CT, classes=61)),
    "brain": Workload(
        "a brain in four channels", "brain", (240, 240, 155), (1.0, 1.0, 1.0),
        ModelShape(("T1", "T1c", "T2", "FLAIR"), 4, (128, 128, 128), (1.0, 1.0, 1.0)),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """A workload on disk."""

    name: str
    about: str
    model: Path
    """TRAINER__PLANS__CONFIGURATION folder."""
    images: Path
    mirror: bool
    ending: str


def prepare(options: PredictOptions, folder: Path) -> list[Prepared]:
    """Make what is asked for under `folder`, or take the user's model and images.

    Raises ConfigError for a workload that there is not, or a model without images; DataError for folders that are not
    there.
    """
    if (options.model is None) != (options.images is None):
        raise ConfigError("A model and its images go together.", "Give --model FOLDER and --input DIR, or neither.")
    if options.model is not None and options.images is not None:
        return [_given(options.model, options.images, options.mirror is not False)]
    unknown = [name for name in options.workloads if name not in WORKLOADS]
    if unknown:
        raise ConfigError(f"There is no workload {unknown[0]!r}.", f"There are: {', '.join(WORKLOADS)}.")
    return [made(name, changed(WORKLOADS[name], options), options.mirror, folder / name) for name in options.workloads]


def _given(model: Path, folder: Path, mirror: bool) -> Prepared:
    if not (model / "plans.json").is_file():
        raise DataError(f"{model} is no model folder: it has no plans.json.", "Give TRAINER__PLANS__CONFIGURATION.")
    ending = read_json(model / "dataset.json")["file_ending"]
    files = sorted(folder.glob(f"*_0000{ending}"))
    if not files:
        raise DataError(f"{folder} has no CASE_0000{ending}.", "Stock nnU-Net takes images of that name alone.")
    return Prepared("given", f"{model.name} on {len(files)} case(s) of {folder.name}", model, folder, mirror, ending)


def changed(workload: Workload, options: PredictOptions) -> Workload:
    """The workload with what the user wants otherwise; tiny when it only has to run."""
    model = replace(workload.model, network=options.network)
    size = options.size or workload.size
    if options.quick:
        size = options.size or (_QUICK if workload.kind != "phantoms" else workload.size)
        patch = _QUICK_PATCH if workload.kind != "phantoms" else model.patch
        model = replace(model, patch=patch, features=_QUICK_FEATURES)
        workload = replace(workload, cases=min(2, workload.cases))
    model = replace(model, classes=options.classes or model.classes, features=options.features or model.features)
    return replace(workload, size=size, model=model)


def made(name: str, workload: Workload, mirror: bool | None, folder: Path) -> Prepared:
    """Write a workload's images and model."""
    shape = workload.size[::-1]
    writers: Mapping[str, Writer] = {
        "phantoms": lambda place: images.write_phantoms(place, shape, workload.spacing, workload.cases),
        "ct": lambda place: images.write_ct(place, shape, workload.spacing),
        "brain": lambda place: images.write_brain(place, shape, workload.spacing, len(workload.model.channels)),
    }
    writers[workload.kind](folder / "images")
    model = make_model(folder / "results", workload.model)
    both = workload.mirror if mirror is None else mirror
    return Prepared(name, describe(workload), model, folder / "images", both, ".nii.gz")


def describe(workload: Workload) -> str:
    """Images and model in a line."""
    model = workload.model
    size, patch = ("x".join(map(str, numbers)) for numbers in (workload.size, model.patch[::-1]))
    spacing = "x".join(f"{step:g}" for step in workload.spacing[::-1])
    network = f"PlainConvUNet ({model.features} features)" if model.network == PLAIN else model.network
    several = f"{workload.cases} of about " if workload.cases > 1 else ""
    inner = [math.ceil(n * a / b) for n, a, b in zip(workload.size, workload.spacing[::-1], model.spacing, strict=True)]
    return (
        f"{workload.about}: {several}{size} at {spacing} mm, network {'x'.join(map(str, inner))} at "
        f"{model.spacing[0]:g} mm, {model.classes} classes; {network}, random weights, patch {patch}"
    )
