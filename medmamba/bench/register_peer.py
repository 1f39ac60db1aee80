"""Runs ANTs SyN or ConvexAdam over prepared pairs, by whatever Python has them: nothing of this package is imported.

A field is written as `displacement` (X, Y, Z, 3) in voxels of the fixed image along the array's axes, and its `affine`.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Once = Callable[[dict[str, str]], Callable[[], Any]]


def main(path: str) -> None:
    """Do the job in a file, as `register_worker` does those of its own methods."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    once = {"ants-syn": ants_syn, "convexadam": convex_adam}[job["method"]]()
    with Path(job["results"]).open("w", encoding="utf-8") as results:
        for pair in job["pairs"]:
            print(json.dumps({"name": pair["name"], **timed(once, pair)}), file=results, flush=True)


def timed(once: Once, pair: dict[str, str]) -> dict[str, Any]:
    """Seconds of one pair from its files on; turning the result into the field that is scored does not count."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        field = once(pair)
    except (RuntimeError, ValueError, MemoryError) as error:
        return {"error": str(error)[-300:] or type(error).__name__}
    taken = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "note": ""}
    np.savez(pair["out"], displacement=field().astype(np.float32), affine=affine_of(pair["fixed"]))
    return taken


def affine_of(path: str) -> Any:
    """Voxels to RAS mm of a NIfTI file."""
    import nibabel

    return nibabel.load(path).affine


def ants_syn() -> Once:
    """SyN with all defaults: its own affine, mutual information, 40-20-0 iterations; a fixed seed."""
    import ants  # type: ignore[import-not-found]
    import nibabel

    def once(pair: dict[str, str]) -> Callable[[], Any]:
        fixed, moving = ants.image_read(pair["fixed"]), ants.image_read(pair["moving"])
        found = ants.registration(fixed, moving, type_of_transform="SyN", random_seed=1)

        def field() -> Any:
            with tempfile.TemporaryDirectory() as folder:
                stem = os.path.join(folder, "whole")
                whole = ants.apply_transforms(fixed, moving, found["fwdtransforms"], compose=stem)
                vectors = np.asarray(nibabel.load(whole).dataobj)[:, :, :, 0, :]  # LPS mm
            for name in {*found["fwdtransforms"], *found["invtransforms"]}:
                os.unlink(name)
            to_voxels = np.linalg.inv(affine_of(pair["fixed"])[:3, :3]) @ np.diag([-1.0, -1.0, 1.0])
            return vectors @ to_voxels.T

        return field

    return once


def convex_adam() -> Once:
    """MIND features, discrete search and Adam, all defaults; the moving image resampled onto the fixed grid before."""
    import nibabel
    import torch
    from convexAdam.convex_adam_MIND import convex_adam_pt  # type: ignore[import-not-found]
    from nibabel.processing import resample_from_to

    def once(pair: dict[str, str]) -> Callable[[], Any]:
        fixed, moving = nibabel.load(pair["fixed"]), nibabel.load(pair["moving"])
        if fixed.shape != moving.shape or not np.allclose(fixed.affine, moving.affine, atol=1e-4):
            moving = resample_from_to(moving, fixed, order=1)
        arrays = (np.asarray(one.dataobj, np.float32) for one in (fixed, moving))
        found = convex_adam_pt(*arrays, dtype=torch.float32, device=torch.device("cpu"))
        return lambda: np.asarray(found)

    return once


if __name__ == "__main__":
    main(sys.argv[1])
