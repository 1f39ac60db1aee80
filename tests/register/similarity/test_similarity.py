import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.register.similarity import (
    BY_NAME,
    bending,
    choose,
    contrastive,
    diffusion,
    lncc,
    mind,
    mind_ssc,
    mse,
    nmi,
    soft_dice,
)
from tests.reference_data import arrays, needs_reference


@pytest.fixture(scope="module")
def ops():
    return {k: torch.from_numpy(v)[None] for k, v in arrays("mambamorph/golden_ops.npz").items() if v.ndim}


@pytest.fixture(scope="module")
def values():
    return {k: float(v) for k, v in arrays("mambamorph/golden_ops.npz").items() if not v.ndim}


def _onehot(labels, kept):
    return torch.stack([labels == k for k in kept], 1).double()


def _blobs(seed=0, size=(14, 15, 16)):
    """A smooth image in 0..1."""
    noise = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    smooth = torch.nn.functional.avg_pool3d(noise, 5, stride=1, padding=2)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


@needs_reference
def test_lncc_is_voxelmorphs(ops, values):
    img, other = ops["img"][None].double(), ops["img2"][None].double()
    assert lncc(img, other).item() == pytest.approx(values["loss_ncc9"], rel=1e-4)
    assert lncc(img, img).item() == pytest.approx(values["loss_ncc9_self"], rel=1e-5)


@needs_reference
def test_mse(ops, values):
    assert mse(ops["img"][None], ops["img2"][None]).item() == pytest.approx(values["loss_mse"], rel=1e-5)


@needs_reference
@pytest.mark.parametrize(("kept", "name"), [((0, 1, 2, 3), "all"), ((1, 2, 3), "keep123")])
def test_soft_dice(ops, values, kept, name):
    from medmamba.blocks.warp import warp

    fixed = _onehot(ops["labels_fixed"], kept)
    warped = warp(_onehot(ops["labels"], kept), ops["velocity"].double())
    assert soft_dice(fixed, warped).item() == pytest.approx(values[f"loss_dice_{name}"], rel=1e-5)


@needs_reference
@pytest.mark.parametrize(("norm", "factor", "name"), [("l2", 1, "l2"), ("l2", 2, "l2_mult2"), ("l1", 1, "l1")])
def test_diffusion(ops, values, norm, factor, name):
    loss = factor * diffusion(ops["velocity"], norm=norm)
    assert loss.item() == pytest.approx(values[f"loss_grad_{name}"], rel=1e-5)


@needs_reference
def test_contrastive(ops, values):
    loss = contrastive(ops["cl_feature"], ops["labels"], ops["labels_fixed"], kept=(1, 2, 3))
    assert loss.item() == pytest.approx(values["loss_contrastive"], rel=1e-5)


@needs_reference
def test_contrastive_with_a_label_that_one_side_lacks(ops):
    feature = ops["cl_feature"].clone().requires_grad_()
    loss = contrastive(feature, ops["labels"], ops["labels_fixed"].masked_fill(ops["labels_fixed"] == 2, 0), (1, 2, 3))
    (gradient,) = torch.autograd.grad(loss, feature)
    assert 0 < loss.item() < 10 and gradient.isfinite().all() and gradient.abs().sum() > 0


def test_contrastive_without_any_label_is_zero():
    feature = torch.rand(1, 4, 3, 3, 3, requires_grad=True)
    nothing = torch.zeros(1, 6, 6, 6, dtype=torch.int64)
    loss = contrastive(feature, nothing, nothing, kept=(1, 2))
    assert loss.item() == 0 and not torch.autograd.grad(loss, feature)[0].any()


@pytest.mark.parametrize("name", BY_NAME)
def test_alike_is_lower_than_moved(name):
    image = _blobs()
    moved = torch.roll(image, 2, dims=2)
    nearly = image + 0.01 * _blobs(1)
    assert BY_NAME[name](image, nearly) < BY_NAME[name](image, moved)


@pytest.mark.parametrize("name", BY_NAME)
def test_gradient_is_that_of_differences(name):
    fixed, warped = _blobs(0, (9, 9, 10)), _blobs(1, (9, 9, 10)) * 0.9 + 0.05
    mask = (_blobs(2, (9, 9, 10)) > 0.3).double()
    warped.requires_grad_()
    (gradient,) = torch.autograd.grad(BY_NAME[name](fixed, warped, mask), warped)
    direction = _blobs(3, (9, 9, 10)) - 0.5
    step = 1e-5 * direction
    with torch.no_grad():
        difference = BY_NAME[name](fixed, warped + step, mask) - BY_NAME[name](fixed, warped - step, mask)
    assert (gradient * direction).sum().item() == pytest.approx(difference.item() / 2e-5, rel=2e-3, abs=1e-8)


@pytest.mark.parametrize("name", BY_NAME)
def test_masked_voxels_do_not_count(name):
    image = _blobs(0, (24, 16, 16))
    mask = torch.zeros_like(image)
    mask[:, :, :8] = 1
    other = image.clone()
    other[:, :, 20:] = 0.5  # further from the mask than any window or descriptor reaches
    alike = BY_NAME[name](image, image, mask).item()
    assert BY_NAME[name](image, other, mask).item() == pytest.approx(alike, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("name", ["nmi", "mind"])
def test_contrast_does_not_matter_across_modalities(name):
    image = _blobs()
    remapped = torch.sin(torch.pi * image) ** 2
    right, wrong = BY_NAME[name](image, remapped), BY_NAME[name](image, torch.roll(remapped, 3, dims=3))
    assert right < wrong


def test_nmi_of_an_image_with_its_negative_is_that_with_itself():
    image = _blobs()
    assert nmi(image, 1 - image).item() == pytest.approx(nmi(image, image).item(), rel=1e-6)


@settings(max_examples=10, deadline=None)
@given(gain=st.floats(0.2, 5), offset=st.floats(-1, 1))
def test_descriptors_ignore_gain_and_offset(gain, offset):
    image = _blobs()
    assert torch.allclose(mind_ssc(image), mind_ssc(gain * image + offset), atol=1e-6)
    assert lncc(image, gain * image, epsilon=1e-12).item() == pytest.approx(-1, abs=1e-6)
    inside = torch.zeros_like(image)
    inside[:, :, 4:-4, 4:-4, 4:-4] = 1  # without it an offset makes an edge with the zeros around the image
    alike = lncc(image, image, inside).item()
    assert alike < -0.8 and lncc(image, image + offset, inside).item() == pytest.approx(alike, abs=1e-6)


def test_descriptor_of_a_constant_image_is_finite():
    constant = torch.full((1, 1, 8, 8, 8), 0.3, requires_grad=True)
    (gradient,) = torch.autograd.grad(mind(_blobs(0, (8, 8, 8)).float(), constant), constant)
    assert mind_ssc(constant).isfinite().all() and gradient.isfinite().all()


def test_bending_is_blind_to_affine_fields_and_both_to_translation():
    position = torch.stack(torch.meshgrid(*[torch.arange(8.0, dtype=torch.float64)] * 3, indexing="ij"))[None]
    affine = torch.einsum("ij,bjxyz->bixyz", torch.rand(3, 3, dtype=torch.float64), position)
    assert bending(affine).item() < 1e-20 < diffusion(affine).item()
    assert diffusion(torch.ones_like(position)).item() == 0


@settings(max_examples=10, deadline=None)
@given(spacing=st.tuples(*[st.floats(0.3, 6)] * 3))
def test_smoothness_in_mm_is_that_of_the_map(spacing):
    """A shear of a given rate, whatever voxels it is sampled with: u_0 [mm] = 0.2 * x_2 [mm]."""
    field = torch.zeros(1, 3, 5, 6, 7, dtype=torch.float64)
    field[:, 0] = 0.2 * torch.arange(7) * spacing[2] / spacing[0]
    assert diffusion(field, spacing).item() == pytest.approx(0.2**2 / 9, rel=1e-6)


def test_choice():
    assert (choose(True), choose(False)) == ("lncc", "mind")
