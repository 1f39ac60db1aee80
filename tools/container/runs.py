"""What the image is asked to do, one run after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import inputs
from .inputs import PARAMETERS, VOLUMES, Fill

USER = "54321:54321"
"""Nobody on any machine: no name, no home."""
_CPU = ("--device=cpu", "--precision=fp32", "--fast")
_CUBE = ("infer", "--data_path=/mlcube_io0", "--output_path=/mlcube_io2", "--weights=/mlcube_io1")


def _tamper(model: Path) -> None:
    """One byte of a bundle is another."""
    weights = next(iter(sorted(model.rglob("*.safetensors")) or sorted(model.rglob("*.tar"))))
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)


@dataclass(frozen=True)
class Run:
    """One start of the container."""

    name: str
    words: tuple[str, ...]
    fill: Fill = inputs.native
    places: tuple[str, str, str] = ("input", "output", "model")
    """Where inputs, outputs and bundle appear below the container's root."""
    also: tuple[str, ...] = ()
    """More volumes; with :rw at the end folders that are written to, with :file files."""
    channels: int | None = 1
    """Of the bundle; None for the one that is in the image, 0 for no model."""
    user: str = USER
    code: int = 0
    """Exit code that is expected."""
    verb: str | None = None
    """Left out where the image does not have it."""
    option: str | None = None
    """Left out where `--help` does not name it."""
    spoil: Callable[[Path], None] | None = None
    """What happens to the bundle first."""
    writable: bool = True
    """Whether the folder of outputs belongs to the user."""
    pseudonyms: bool = False
    """Whether files are named by pseudonyms, which no other run has."""

    @property
    def written(self) -> dict[str, str]:
        """Places that are written to: "" for folders, "file" for files."""
        more = dict(place.split(":") for place in self.also if ":" in place)
        return {self.places[1]: "", **{place: kind.replace("rw", "") for place, kind in more.items()}}


_PERF = (f"{VOLUMES}/data", f"{VOLUMES}/predictions", f"{VOLUMES}/additional_files")
_PREPARED = (f"{VOLUMES}/data", "output", "model")
RUNS: tuple[Run, ...] = (
    Run("describe", ("describe",), inputs.nothing),
    Run("selftest", ("selftest", "--device=cpu", "--precision=fp32"), inputs.nothing),
    Run("check", ("check", *_CPU)),
    Run("native", ("run", *_CPU)),
    Run("native, gid 0", ("infer", *_CPU), user="1000690000:0"),
    Run("native, model inside", ("infer", *_CPU), channels=None),
    Run("DICOM series", ("infer", *_CPU), inputs.dicom),
    Run("DICOM to DICOM-SEG", ("infer", "--output-format=dicom-seg", *_CPU), inputs.dicom, option="--output-format"),
    Run("grand-challenge", ("run", *_CPU), inputs.grand_challenge, ("input", "output", "opt/ml/model")),
    Run("medperf", ("infer", *_CPU), inputs.medperf, _PERF, (PARAMETERS,)),
    Run(
        "medperf prepare",
        ("prepare",),
        inputs.medperf_raw,
        (f"{VOLUMES}/raw_data", f"{VOLUMES}/data", "model"),
        (f"{VOLUMES}/raw_labels", PARAMETERS, f"{VOLUMES}/labels:rw"),
        channels=0,
        verb="prepare",
        pseudonyms=True,
    ),
    Run(
        "medperf sanity_check",
        ("sanity_check",),
        inputs.medperf_prepared,
        _PREPARED,
        (f"{VOLUMES}/labels", PARAMETERS),
        channels=0,
        verb="sanity_check",
    ),
    Run(
        "medperf statistics",
        ("statistics",),
        inputs.medperf_prepared,
        _PREPARED,
        (f"{VOLUMES}/labels", PARAMETERS, f"{VOLUMES}/statistics/statistics.yaml:file"),
        channels=0,
        verb="statistics",
    ),
    Run(
        "medperf evaluate",
        ("evaluate", "--min-cases=3"),
        inputs.medperf_scored,
        (f"{VOLUMES}/predictions", "output", "model"),
        (f"{VOLUMES}/labels", PARAMETERS, f"{VOLUMES}/results/results.yaml:file"),
        channels=0,
        verb="evaluate",
    ),
    Run("brats-mlcube", (*_CUBE, *_CPU), inputs.brats_mlcube, ("mlcube_io0", "mlcube_io2", "mlcube_io1"), channels=4),
    Run("brats-2025", ("run", *_CPU), inputs.brats_2025, channels=4),
    Run("no input", ("run", *_CPU), inputs.nothing, code=3),
    Run("output not writable", ("run", *_CPU), code=4, writable=False),
    Run("tampered bundle", ("run", *_CPU), code=5, spoil=_tamper),
    Run("unknown argument", ("run", "--nothing-of-the-kind"), inputs.nothing, code=2),
)


def those_of(verbs: Sequence[str], usage: str, source: inputs.Source) -> tuple[list[Run], list[str]]:
    """(runs that the image can do and for which there are cases, names of the others with the reason)."""
    chosen, left = [], []
    for run in RUNS:
        if run.verb is not None and run.verb not in verbs:
            left.append(f"{run.name}: the image has no verb {run.verb}")
        elif run.option is not None and run.option not in usage:
            left.append(f"{run.name}: the image has no option {run.option}")
        elif run.fill is inputs.dicom and source.data is None:
            left.append(f"{run.name}: needs the sample data")
        else:
            chosen.append(run)
    return chosen, left
