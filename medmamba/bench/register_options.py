"""What the registration benchmark is asked for, and the methods it knows."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError

PAIRS_FOLDER, RUNS_FOLDER = "pairs", "runs"
"""Below the folder of a benchmark."""


@dataclass(frozen=True)
class Method:
    """One that is measured."""

    about: str
    kind: str
    """ours, sitk or peer: which process runs it."""
    needs: str = ""
    """A peer's package; or `model`, `auto_seg`: the option without which it cannot run."""


METHODS = {
    "identity": Method("nothing done", "none"),
    "affine": Method("medmamba register --deform none", "ours"),
    "affine+search": Method("medmamba register --deform search", "ours"),
    "affine+search+io": Method("medmamba register --deform search+io: its default without a model", "ours"),
    "affine+net": Method("medmamba register --deform net --model", "ours", "model"),
    "affine+net+io": Method("medmamba register --deform net+io --model: its default with one", "ours", "model"),
    "auto-seg": Method("medmamba register --auto-seg", "ours", "auto_seg"),
    "sitk-affine": Method("SimpleITK affine, correlation", "sitk"),
    "sitk-affine-mi": Method("SimpleITK affine, Mattes mutual information", "sitk"),
    "sitk-demons": Method("sitk-affine, then fast symmetric forces demons", "sitk"),
    "sitk-demons-mi": Method("sitk-affine-mi, then fast symmetric forces demons", "sitk"),
    "sitk-bspline": Method("sitk-affine-mi, then a B-spline by mutual information", "sitk"),
    "ants-syn": Method("ANTs SyN with all defaults, its own affine included (antspyx)", "peer", "ants"),
    "convexadam": Method("ConvexAdam (MIND) with all defaults, float32, no affine before it", "peer", "convexAdam"),
}
"""In the order of the table."""
BASELINE = "sitk-demons"


@dataclass(frozen=True)
class RegisterOptions:
    """What to measure."""

    pairs: Path
    images: tuple[Path, ...]
    """Folders, looked through in order."""
    labels: tuple[Path, ...] = ()
    points: tuple[Path, ...] = ()
    space: str = "voxel"
    """Of the landmarks."""
    methods: tuple[str, ...] = ()
    """None named: all that can run."""
    model: str | None = None
    auto_seg: str | None = None
    peers_python: Path | None = None
    """An interpreter that has what this one lacks."""
    size: tuple[int, int, int] | None = None
    """Voxels of the common grid on which all images are centred; None: multiples of 16 that hold the largest."""
    own_grids: bool = False
    """Leave every image on its grid instead; the header then says how fixed and moving lie."""
    remap: bool = False
    interpolation: str = "linear"
    limit: int | None = None
    baseline: str = BASELINE
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in self.methods:
            if name not in METHODS:
                raise ConfigError(f"There is no method {name!r}.", f"There are: {', '.join(METHODS)}.")
            need = METHODS[name].needs
            if need in ("model", "auto_seg") and getattr(self, need) is None:
                raise ConfigError(f"The method {name} needs --{need.replace('_', '-')}.", "Name a trained model.")
        if self.baseline not in METHODS:
            raise ConfigError(f"There is no method {self.baseline!r}.", f"There are: {', '.join(METHODS)}.")
        if self.methods and self.baseline not in self.methods and self.baseline != BASELINE:
            raise ConfigError(f"--baseline {self.baseline} is not measured.", f"Add --method {self.baseline}.")
        if self.interpolation not in ("linear", "nearest"):
            raise ConfigError(f"Labels cannot be warped by {self.interpolation!r}.", "Use linear or nearest.")

    def chosen(self) -> list[str]:
        """The methods to measure, in the order of METHODS."""
        if self.methods:
            return [name for name in METHODS if name in self.methods]
        absent = {need for need in ("model", "auto_seg") if getattr(self, need) is None}
        return [name for name, method in METHODS.items() if method.needs not in absent]
