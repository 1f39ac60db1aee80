"""Whole registrations of real heads: known fields found again, two templates, two contrasts of one patient. Slow."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medmamba.register import register
from medmamba.register.deform.fields import exponential, sample
from medmamba.register.grid import Grid
from medmamba.register.transforms import files
from tests.reference_data import REFERENCE
from tests.register.deform.pairs import velocity

_IMAGES = REFERENCE.parent / "data" / "registration"
_TEMPLATES = _IMAGES / "template_pair_2mm"
_COLIN = _TEMPLATES / "colin27_t1_2mm.nii.gz"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not _IMAGES.is_dir(), reason="the shared images are absent")]


@pytest.mark.parametrize("longest", [3.0, 6.0, 10.0])
def test_a_known_field_is_found_again(longest: float, tmp_path: Path) -> None:
    """Colin27 read through a smooth field of up to `longest` mm, with noise: mean error below half a voxel."""
    source = nibabel.load(_COLIN)
    image = torch.from_numpy(np.asarray(source.dataobj, np.float32))[None, None]
    truth = exponential(velocity(image.shape[2:], longest / 2, seed=7, sigma=8.0))
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    fixed = sample(image, truth) + 0.02 * image.max() * noise
    nibabel.Nifti1Image(fixed[0, 0].numpy(), source.affine).to_filename(tmp_path / "fixed.nii.gz")
    outcome = register(tmp_path / "fixed.nii.gz", _COLIN, tmp_path / "out")
    grid = Grid(tuple(image.shape[2:]), source.affine)
    found = files.read(outcome.folder / "transform.h5").displacement_on(grid)
    error = np.linalg.norm(found.displacement - truth[0].permute(1, 2, 3, 0).numpy(), axis=-1)
    brain = (sample(image, truth) > 0.3 * image.max())[0, 0].numpy()
    assert outcome.exit_code == 0
    assert error[brain].mean() < 0.5 < np.linalg.norm(truth[0].numpy(), axis=0)[brain].max()


@pytest.mark.parametrize(
    ("fixed", "moving", "spacing"),
    [
        ("template_pair_2mm/mni152_t1_2mm.nii.gz", "template_pair_2mm/colin27_t1_2mm.nii.gz", 2.0),
        ("intrasubject_t1_t2/TCGA-FG-6692_t1.nii.gz", "intrasubject_t1_t2/TCGA-FG-6692_t2.nii.gz", 0.898),
    ],
)
def test_heads_come_together_without_a_fold(fixed: str, moving: str, spacing: float, tmp_path: Path) -> None:
    outcome = register(_IMAGES / fixed, _IMAGES / moving, tmp_path / "out")
    report = outcome.report
    judge = report["outcome"]["judged_by"]
    scores = [report["scores"][when]["similarity"][judge] for when in ("start", "affine", "deformation")]
    assert outcome.exit_code == 0 and scores[2] < scores[1] < scores[0]
    assert report["deformation"]["folding_percent"] == 0
    assert report["inverse_residual_mm"]["p95"] < 0.5 * spacing
