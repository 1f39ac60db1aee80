"""Registration methods beside each other: ours, SimpleITK's and the peers that are there, on the same pairs."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from .. import runtime
from ..errors import ConfigError
from ..register.evaluation.scoring import score
from ..register.images import read_image
from ..register.similarity import BY_NAME
from ..register.transforms.files import read
from ..register.transforms.transform import Transform
from ..register.warping import warp_image
from . import machine, process_tree
from .register_options import METHODS, PAIRS_FOLDER, RUNS_FOLDER, Method, RegisterOptions
from .register_pairs import Ready, prepare
from .register_report import RegisterReport, Row, Timing

Tell = Callable[[str], None]
_SIMILARITIES = ("lncc", "nmi")
_THREADS = ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "MKL_NUM_THREADS")
_REMAPPED = "moving contrast sin(pi m)^2"


def run(options: RegisterOptions, folder: Path | None = None, tell: Tell = lambda text: None) -> RegisterReport:
    """Measure the chosen methods on all pairs. `folder` keeps pairs, fields and logs; None: removed at the end.

    Raises ConfigError or DataError for wrong options and pairs. A method that is not installed or fails has the reason
    in its row, and the others go on.
    """
    if options.threads is not None and options.threads > runtime.cpu_count():
        raise ConfigError(
            f"{options.threads} threads on {runtime.cpu_count()} cores measure nothing.", "Use fewer."
        )  # fmt: skip
    place = nullcontext(str(folder)) if folder is not None else tempfile.TemporaryDirectory(prefix="medmamba-bench-")
    with place as name:
        here = Path(name).absolute()
        tell("preparing the pairs")
        ready = prepare(options, here / PAIRS_FOLDER)
        rows = tuple(measure(name, ready, options, here / RUNS_FOLDER / name, tell) for name in options.chosen())
    threads = options.threads or runtime.cpu_count()
    about = machine.describe(torch.device("cpu"), threads)
    about["versions"]["SimpleITK"] = metadata.version("SimpleITK")
    return RegisterReport(about, _preparation(options, len(ready)), options.interpolation, options.baseline, rows)


def measure(name: str, ready: list[Ready], options: RegisterOptions, folder: Path, tell: Tell) -> Row:
    """One method on all pairs: its process, then the scores of what it wrote."""
    method = METHODS[name]
    if method.kind == "none":
        done = tuple(Timing(pair.name, 0.0, 0.0) for pair in ready)
        return _scored(Row(name, method.about, timings=done), {pair.name: None for pair in ready}, ready, options)
    python = interpreter(method, options.peers_python)
    if python is None:
        where = f"in {options.peers_python} or here" if options.peers_python else "here; see --peers-python"
        return Row(name, method.about, absent=f"{method.needs} is not installed {where}")
    tell(f"{name}: {len(ready)} pairs")
    folder.mkdir(parents=True, exist_ok=True)
    fields = {pair.name: folder / f"{pair.name}.npz" for pair in ready}
    job = {
        "method": name,
        "pairs": [
            {"name": p.name, "fixed": str(p.fixed), "moving": str(p.moving), "out": str(fields[p.name])} for p in ready
        ],
        "results": str(folder / "results.jsonl"),
        "folder": str(folder / "results"),
        "model": options.model,
        "auto_seg": options.auto_seg,
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    usage = process_tree.run(
        [*_program(method, python), str(folder / "job.json")], environment(options.threads), folder / "log.txt"
    )
    timings = _timings(folder / "results.jsonl")
    if usage.code:
        last = " ".join([line.strip() for line in usage.text.splitlines() if line.strip()][-2:])
        return Row(name, method.about, timings=timings, absent=f"failed: exit code {usage.code}: {last[:300]}")
    good = {one.name: fields[one.name] for one in timings if not one.error}
    return _scored(Row(name, method.about, timings=timings, peak=usage.peak), good, ready, options)


def interpreter(method: Method, other: Path | None) -> str | None:
    """The Python that runs a method: this one, or for a peer that it lacks the other; None where neither has it."""
    if method.kind != "peer" or find_spec(method.needs) is not None:
        return sys.executable
    if other is None:
        return None
    asked = f"import importlib.util as u, sys; sys.exit(u.find_spec({method.needs!r}) is None)"
    try:
        return None if subprocess.run([other, "-c", asked], check=False).returncode else str(other)
    except OSError as error:
        raise ConfigError(f"{other} cannot be run: {error.strerror}.", "Name the Python of an environment.") from error


def environment(threads: int | None) -> dict[str, str]:
    """The user's own, with as many threads for every library, and this package findable from a checkout."""
    given = {name: value for name, value in os.environ.items() if name not in _THREADS}
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [given.get("PYTHONPATH")])])
    return {**given, **({} if threads is None else dict.fromkeys(_THREADS, str(threads))), "PYTHONPATH": path}


def _program(method: Method, python: str) -> list[str]:
    if method.kind == "peer":
        return [python, "-W", "ignore", str(Path(__file__).with_name("register_peer.py"))]
    return [python, "-m", f"{__package__}.register_worker"]


def _timings(path: Path) -> tuple[Timing, ...]:
    if not path.is_file():
        return ()
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return tuple(Timing(**{"wall": 0.0, "cpu": 0.0, **line}) for line in lines)


def _scored(row: Row, fields: Mapping[str, Path | None], ready: list[Ready], options: RegisterOptions) -> Row:
    """The row with the scores of all fields; None: nothing moves."""
    scores, similar = [], {}
    for pair in ready:
        if pair.name not in fields:
            continue
        path, truth = fields[pair.name], pair.truth()
        transform = Transform(()) if path is None else read(path)
        scores.append(score(pair.name, transform, truth, options.interpolation))  # type: ignore[arg-type]
        similar[pair.name] = similarity(pair, transform)
    return replace(row, scores=tuple(scores), similarity=similar)


def similarity(pair: Ready, transform: Transform) -> dict[str, float]:
    """lncc and nmi of the fixed image and the warped moving one, where the fixed image is not zero; more is better."""
    fixed, moving = read_image(pair.fixed), read_image(pair.moving)
    warped = warp_image(moving, transform, fixed.grid)
    region = fixed.data > 0
    f, w, m = (
        torch.from_numpy(np.ascontiguousarray(array, np.float32))[None, None]
        for array in (fixed.data, warped.data, region)
    )
    with torch.inference_mode():
        return {name: -float(BY_NAME[name](f, w, mask=m)) for name in _SIMILARITIES}


def _preparation(options: RegisterOptions, pairs: int) -> str:
    grid = "own grids" if options.own_grids else "centred on one grid"
    size = " of {}x{}x{} voxels".format(*options.size) if options.size and not options.own_grids else ""
    return f"{pairs} pairs, {grid}{size}, intensities 0.5-99.5 % to 0-1{f', {_REMAPPED}' if options.remap else ''}"
