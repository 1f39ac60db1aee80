"""What a registration of two images can be told, as one frozen value."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from ...errors import ConfigError

Modality = Literal["ct", "mri", "auto"]
Init = Literal["none", "header", "center", "moments"]
AffineKind = Literal["none", "translation", "rigid", "similarity", "affine"]
Deform = Literal["none", "net", "search", "net+io", "search+io", "io"]
Sim = Literal["auto", "lncc", "mse", "nmi", "mind"]
Format = Literal["itk", "l2r", "both"]
LabelInterp = Literal["nearest", "linear"]


@dataclass(frozen=True)
class Inputs:
    """What belongs to one pair of images besides the images. Each file lies in the space of its own image."""

    fixed_seg: Path | None = None
    moving_seg: Path | None = None
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    fixed_points: Path | None = None
    moving_points: Path | None = None
    init_transform: Path | None = None
    """Transform that the registration starts from, fixed points to moving points (.h5, .tfm, .mat)."""

    def given(self) -> dict[str, Path]:
        """Name -> file, of those that there are."""
        return {field.name: path for field in fields(self) if (path := getattr(self, field.name)) is not None}


@dataclass(frozen=True)
class Options:
    """How a pair, or every pair of a batch, is registered."""

    fixed_modality: Modality = "auto"
    moving_modality: Modality = "auto"
    init: Init | None = None
    """Where the affine starts; None: from several places, and the best is kept."""
    affine: AffineKind = "affine"
    model: str | None = None
    """A trained registration network: what `trained.load_model` takes."""
    deform: Deform | None = None
    """None: search+io without a model, net+io with one."""
    sim: Sim = "auto"
    io_iterations: int = 50
    io_labels: bool = False
    """Segmentations and points guide the optimisation; else they are only measured."""
    auto_seg: str | None = None
    """A trained segmentation model: what `predict.loading.load` takes. Its labels of both images guide."""
    reg_weight: float | None = None
    """None: the default of the similarity."""
    diffeo: bool = True
    format: Format = "itk"
    label_interp: LabelInterp = "nearest"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(Options).items():
            choices = [choice for part in (kind, *get_args(kind)) for choice in get_args(part) if choice is not None]
            choices = [choice for choice in choices if isinstance(choice, str)]
            value = getattr(self, name)
            if choices and value is not None and value not in choices:
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{option} {value!r} is not known.", f"Use one of: {', '.join(choices)}.")
        if self.io_iterations < 1:
            problem = f"--io-iterations {self.io_iterations} is not possible."
            raise ConfigError(problem, "Use 1 or more, or a --deform without io.")
        if self.reg_weight is not None and not self.reg_weight > 0:
            raise ConfigError(f"--reg-weight {self.reg_weight} is not possible.", "Use a number above 0.")
        if "net" in self.stages and self.model is None:
            raise ConfigError(f"--deform {self.deform} needs a network.", "Name a trained one with --model.")
        if self.model is not None and "net" not in self.stages:
            problem = f"--deform {self.deform} does not use --model."
            raise ConfigError(problem, "Use --deform net or net+io, or leave --model away.")
        if "io" not in self.stages and (self.io_labels or self.auto_seg is not None):
            option = "--io-labels" if self.io_labels else "--auto-seg"
            problem = f"{option} guides the optimisation, which --deform {self.deform} leaves out."
            raise ConfigError(problem, "Use a --deform with io.")

    @property
    def stages(self) -> tuple[str, ...]:
        """Of the deformation, in order: net, search, io; none for an affine registration."""
        chosen = self.deform or ("search+io" if self.model is None else "net+io")
        return () if chosen == "none" else tuple(chosen.split("+"))

    def as_json(self) -> dict[str, Any]:
        """Plain values, by the names of the options."""
        return asdict(self)


def require_pairs(inputs: Inputs, options: Options) -> None:
    """Raise ConfigError when one half of what goes in twos is missing, or nothing is there that is to guide."""
    given = inputs.given()
    for kind in ("seg", "points"):
        sides = [f"{side}_{kind}" for side in ("fixed", "moving")]
        missing = [side for side in sides if side not in given]
        if len(missing) == 1 and not (kind == "seg" and missing == ["fixed_seg"]):
            other = next(side for side in sides if side in given)
            problem = f"--{other.replace('_', '-')} goes with --{missing[0].replace('_', '-')}."
            raise ConfigError(problem, "Give both, or none.")
    if options.io_labels and not {"fixed_seg", "fixed_points"} & given.keys():
        problem = "--io-labels has no segmentations and no points to go by."
        raise ConfigError(problem, "Give --fixed-seg and --moving-seg, or --fixed-points and --moving-points.")
