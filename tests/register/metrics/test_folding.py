import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba.register.metrics import field_figures, folding, folding_percent, jacobian_determinant, sdlogj, sdlogj_l2r
from tests.reference_data import arrays, needs_reference


def linear_field(matrix: np.ndarray, shape: tuple[int, int, int] = (6, 7, 8)) -> np.ndarray:
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).astype(float)
    return places @ matrix.T


@needs_reference
def test_goldens() -> None:
    z = arrays("mambamorph/golden_ops.npz")
    field = np.moveaxis(z["big_flow"], 0, -1)
    np.testing.assert_allclose(jacobian_determinant(field), z["jacdet_correct"], atol=1e-6)
    np.testing.assert_allclose(jacobian_determinant(field, "one-sided"), z["jacdet_numpy_gradient"], atol=2e-6)
    assert folding_percent(field, rim=0) == pytest.approx(float(z["fold_pct_correct"]))
    swapped = field[..., ::-1]  # upstream's figure is that of a field with its components reversed
    assert folding_percent(swapped, rim=0) == pytest.approx(float(z["fold_pct_upstream_component_order"]))
    np.testing.assert_allclose(
        jacobian_determinant(field)[1:-1, 1:-1, 1:-1], jacobian_determinant(field, "one-sided")[1:-1, 1:-1, 1:-1]
    )


@given(st.lists(st.floats(-0.4, 0.4), min_size=9, max_size=9))
def test_a_linear_map_has_its_own_determinant(entries: list[float]) -> None:
    matrix = np.array(entries).reshape(3, 3)
    field, expected = linear_field(matrix), np.linalg.det(np.eye(3) + matrix)
    np.testing.assert_allclose(jacobian_determinant(field, "one-sided"), expected, atol=1e-9)
    np.testing.assert_allclose(jacobian_determinant(field)[1:-1, 1:-1, 1:-1], expected, atol=1e-9)
    assert sdlogj(field) == pytest.approx(0, abs=1e-9)


def test_the_rim_and_the_mask_are_left_out() -> None:
    field = np.zeros((9, 9, 9, 3))
    field[0] = 9.0  # folds beside the border only
    assert folding_percent(field) == 0 < folding_percent(field, rim=0)
    field[4, 4, 4, 0] = 3.0  # and the voxel before this one
    assert folding_percent(field) == pytest.approx(100 / 5**3)
    mask = np.zeros((9, 9, 9))
    mask[6, 6, 6] = 1
    assert folding_percent(field, mask) == 0
    assert np.isnan(folding_percent(field, np.zeros((9, 9, 9))))
    assert folding_percent(linear_field(np.diag([-1.0, 0, 0])), rim=1) == 100  # J = 0 is folding


def test_sdlogj_of_two_halves() -> None:
    field = np.zeros((40, 8, 8, 3))
    field[20:, ..., 0] = np.arange(20)[:, None, None]  # twice as large in its second half
    half = jacobian_determinant(field)[2:-2, 2:-2, 2:-2]
    assert sdlogj(field) == pytest.approx(np.log(half).std()) and sdlogj(field) > 0.3
    assert sdlogj_l2r(field) == pytest.approx(np.log(half + 3).std()) and sdlogj_l2r(field) < sdlogj(field) / 2


def test_flat_grids_keep_their_middle() -> None:
    assert folding_percent(np.zeros((2, 9, 3, 3))) == 0
    with pytest.raises(ValueError, match="not"):
        jacobian_determinant(np.zeros((3, 9, 9, 9)))


def test_portions_and_all_at_once_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    field = np.random.default_rng(0).normal(0, 0.6, (11, 7, 8, 3))
    mask = np.random.default_rng(1).random((11, 7, 8)) > 0.3
    whole = {border: jacobian_determinant(field, border) for border in ("repeat", "one-sided")}  # type: ignore[arg-type]
    expected = (folding_percent(field, mask), sdlogj(field, mask), sdlogj_l2r(field, mask))
    monkeypatch.setattr(folding, "_AT_ONCE", 3 * 7 * 8)
    for border, determinant in whole.items():
        np.testing.assert_array_equal(jacobian_determinant(field, border), determinant)  # type: ignore[arg-type]
    assert tuple(field_figures(field, mask).values()) == expected and expected[0] > 5
