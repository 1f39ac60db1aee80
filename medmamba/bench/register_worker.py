"""Runs one method of this package or of SimpleITK over prepared pairs, in a process of its own, and takes its time."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from ..errors import MedMambaError
from ..register.grid import Grid
from ..register.transforms.files import read, write_voxel_npz
from ..register.transforms.transform import Transform
from . import register_sitk

Job = Mapping[str, Any]
"""method, pairs [{name, fixed, moving, out}], results; of ours also model, auto_seg, folder."""
_DEFORM = {
    "affine": "none",
    "affine+search": "search",
    "affine+search+io": "search+io",
    "affine+net": "net",
    "affine+net+io": "net+io",
    "auto-seg": None,
}
"""Ours -> --deform."""


def main(path: Path) -> None:
    """Do the job in a file: for each pair a field (voxels, .npz) and a line of what it took in `results`."""
    job = json.loads(path.read_text(encoding="utf-8"))
    once = _ours(job) if job["method"] in _DEFORM else _sitk(job)
    with Path(job["results"]).open("w", encoding="utf-8") as results:
        for pair in job["pairs"]:
            print(json.dumps({"name": pair["name"], **_timed(once, pair)}), file=results, flush=True)


def _timed(once: Callable[[Mapping[str, str]], tuple[Callable[[], Transform], str]], pair: Mapping[str, str]) -> Any:
    """Seconds of one pair from its files to the method's own result, without making the field that is scored."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        transform, note = once(pair)
    except (MedMambaError, RuntimeError, MemoryError) as error:
        return {"error": str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__}
    taken = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "note": note}
    grid = Grid.of(sitk.ReadImage(pair["fixed"]))
    write_voxel_npz(transform().displacement_on(grid), Path(pair["out"]))
    return taken


def _ours(job: Job) -> Callable[[Mapping[str, str]], tuple[Callable[[], Transform], str]]:
    """`medmamba register` with all its outputs. Models are read once, as in a batch, before the first pair."""
    from ..register.pair.models import Models
    from ..register.pair.options import Options
    from ..register.pair.run import register

    name = job["method"]
    model = job["model"] if "net" in name else None
    auto_seg = job["auto_seg"] if name == "auto-seg" else None
    options = Options(deform=_DEFORM[name], model=model, auto_seg=auto_seg)  # type: ignore[arg-type]
    models = Models.load(options)

    def once(pair: Mapping[str, str]) -> tuple[Callable[[], Transform], str]:
        folder = Path(job["folder"]) / pair["name"]
        outcome = register(pair["fixed"], pair["moving"], folder, options, models=models)
        return lambda: read(folder), "worse, start kept" if outcome.exit_code else ""

    return once


def _sitk(job: Job) -> Callable[[Mapping[str, str]], tuple[Callable[[], Transform], str]]:
    def once(pair: Mapping[str, str]) -> tuple[Callable[[], Transform], str]:
        fixed, moving = (sitk.ReadImage(pair[side], sitk.sitkFloat32) for side in ("fixed", "moving"))
        found = register_sitk.run(job["method"], fixed, moving)
        return lambda: Transform.from_itk(found, Grid.of(fixed)), ""

    return once


if __name__ == "__main__":
    main(Path(sys.argv[1]))
