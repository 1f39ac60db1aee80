"""Every measure against two other implementations: SimpleITK's filters, and MONAI's metrics."""

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.evaluate.case import Score, score_arrays
from medmamba.evaluate.targets import Rules, Target
from tests.evaluate.made_masks import Mask, pairs

COUNT = 200
TOLERANCE = 1.3  # no distance between voxels at the spacings of `pairs` is equal to it


def scored(p: Mask, r: Mask, spacing: tuple[float, ...]) -> Score:
    rules = Rules((Target("one", (1,), "label", True, TOLERANCE),))
    return score_arrays(p.astype(np.uint8), r.astype(np.uint8), spacing, rules)["one"]


def image(mask: Mask, spacing: tuple[float, ...]) -> sitk.Image:
    """With a rim of background, as the border of the grid is surface to us."""
    made = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
    made.SetSpacing(spacing[::-1])
    return made


def itk_distances(source: sitk.Image, target: sitk.Image) -> np.ndarray:
    """From each contour voxel of one mask to the contour of the other, by ITK's contour and Maurer's transform."""
    contours = [sitk.BinaryContour(one, fullyConnected=False) for one in (source, target)]
    found = sitk.Abs(sitk.SignedMaurerDistanceMap(contours[1], squaredDistance=False, useImageSpacing=True))
    return sitk.GetArrayFromImage(found)[sitk.GetArrayFromImage(contours[0]) > 0].astype(np.float64)


def test_simpleitk_agrees_on_all_pairs() -> None:
    with_surface = 0
    for number, (p, r, spacing) in enumerate(pairs(COUNT)):
        score, first, second = scored(p, r, spacing), image(p, spacing), image(r, spacing)
        if not p.any() and not r.any():
            assert set(score.values().values()) == {None, 0.0} and score.empty == "both"
            continue
        overlaps = sitk.LabelOverlapMeasuresImageFilter()
        overlaps.Execute(second, first)
        assert score.overlap.dice == pytest.approx(overlaps.GetDiceCoefficient(), abs=1e-12), number
        assert score.overlap.iou == pytest.approx(overlaps.GetJaccardCoefficient(), abs=1e-12), number
        if not p.any() or not r.any():
            assert (score.nsd, score.overlap.dice) == (0, 0)
            assert score.hd95_mm == pytest.approx(np.linalg.norm(np.multiply(p.shape, spacing)))
            continue
        there, back = itk_distances(first, second), itk_distances(second, first)
        both = np.concatenate([there, back])
        assert score.hd95_mm == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), abs=1e-4), number
        assert score.assd_mm == pytest.approx(both.mean(), abs=1e-4), number
        assert score.nsd == pytest.approx(np.mean(both <= TOLERANCE), abs=1e-9), number
        with_surface += 1
    assert with_surface > COUNT / 2


def test_simpleitk_has_the_same_volume_error() -> None:
    for p, r, spacing in pairs(COUNT, seed=1):
        if r.any():
            overlaps = sitk.LabelOverlapMeasuresImageFilter()
            overlaps.Execute(image(r, spacing), image(p, spacing))
            # ITK's "volume similarity" is 2 (source - target) / (source + target)
            similarity = overlaps.GetVolumeSimilarity()
            percent = scored(p, r, spacing).volume_error_percent
            assert percent is not None and percent == pytest.approx(100 * ((2 - similarity) / (2 + similarity) - 1))


@pytest.mark.filterwarnings("ignore::FutureWarning")  # MONAI warns of its own arguments
def test_monai_agrees_on_all_pairs() -> None:
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    for number, (p, r, spacing) in enumerate(pairs(COUNT)):
        if not p.any() or not r.any():
            continue  # MONAI has figures for these by other rules
        score = scored(p, r, spacing)
        mine, truth = (torch.from_numpy(mask)[None, None] for mask in (p, r))
        given = {"include_background": True, "spacing": list(spacing)}
        dice = metrics.compute_dice(mine, truth, include_background=True).item()
        far = metrics.compute_hausdorff_distance(mine, truth, percentile=95, **given).item()
        mean = metrics.compute_average_surface_distance(mine, truth, symmetric=True, **given).item()
        share = metrics.compute_surface_dice(mine, truth, class_thresholds=[TOLERANCE], **given).item()
        found = (score.overlap.dice, score.hd95_mm, score.assd_mm, score.nsd)
        assert found == pytest.approx((dice, far, mean, share), abs=1e-4), number
