"""A large CT pair with twenty labels, the last of which fills the body: what the process takes at most."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

SHAPE = (600, 512, 512)
CEILING = 4 * 2**30
_SCORE = """
import resource, sys
from pathlib import Path
from medmamba.evaluate.case import score_case
from medmamba.evaluate.targets import rules_of
labels = {"background": 0, **{f"l{value}": value for value in range(1, 21)}}
scores = score_case(Path(sys.argv[1]), Path(sys.argv[2]), rules_of({"labels": labels}))
print(min(score.overlap.dice for score in scores.values()), scores["l20"].nsd)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def body(shift: int) -> sitk.Image:
    """19 ellipsoids in a block that leaves a margin of a few voxels."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:595, 6:506, 6:506] = 20
    rng = np.random.default_rng(0)
    for value in range(1, 20):
        centre, radii = rng.uniform((100, 100, 100), (500, 410, 410)) + shift, rng.uniform(20, 90, 3)
        box = tuple(slice(int(max(0, c - r)), int(c + r) + 2) for c, r in zip(centre, radii, strict=True))
        axes = [np.arange(part.start, min(part.stop, n)) for part, n in zip(box, SHAPE, strict=True)]
        z, y, x = (((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radii, strict=True))
        labels[box][z[:, None, None] + y[:, None] + x < 1] = value
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((0.8, 0.8, 1))
    return image


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count the peak in other units")
def test_512_512_600_with_20_labels_stays_below_4_gib(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("p.nii.gz", "r.nii.gz")]
    for path, shift in zip(paths, (2, 0), strict=True):
        sitk.WriteImage(body(shift), str(path))
    done = subprocess.run([sys.executable, "-c", _SCORE, *map(str, paths)], capture_output=True, text=True, check=True)
    scores, peak = done.stdout.splitlines()
    least, nsd = map(float, scores.split())
    assert 0.5 < least < 1 and 0.5 < nsd < 1
    assert int(peak) < CEILING
