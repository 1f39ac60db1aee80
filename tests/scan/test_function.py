"""selective_scan against the golden fixtures, on every path and in every supported type."""

import pytest
import torch

from medmamba.errors import ConfigError
from medmamba.scan import chunked, selective_scan
from medmamba.scan.dispatch import PATHS, REFERENCE, by_name
from tests.reference_data import REFERENCE as FOLDER
from tests.reference_data import needs_reference, tensors

FILES = sorted(p.name for p in FOLDER.glob("scan/golden_L*.npz"))
NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")


def relative(got: torch.Tensor, want: torch.Tensor) -> float:
    """||got - want|| / ||want||, absolute where the wanted value is zero (dA at L = 1)."""
    error = (got.detach().double() - want).norm()
    return float(error / want.norm()) if want.norm() > 1e-12 else float(error)


def run(file: str, dtype: torch.dtype) -> dict[str, float]:
    """Errors of y, last_state and every gradient of one golden, inputs as `dtype` (A, D, bias at least fp32)."""
    data, meta = tensors(f"scan/{file}")
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    args = {
        k: data[k].to(wide if k in ("A", "D", "delta_bias") else dtype).requires_grad_() for k in NAMES if k in data
    }
    y, last = selective_scan(
        **args,
        delta_softplus=meta["softplus"],
        direction=meta["direction"],
        nslices=meta["nslices"] or None,
        return_last_state=True,
    )
    y.backward(data["dy"].to(dtype))
    assert y.dtype == dtype
    assert last.dtype == wide
    errors = {"y": relative(y, data["y"]), "last_state": relative(last, data["last_state"])}
    return errors | {k: relative(v.grad, data[f"grad_{k}"]) for k, v in args.items()}


CPU = torch.device("cpu")
ON_CPU = [p.name for p in PATHS if not p.usable(CPU, torch.float32)] + [REFERENCE]


@pytest.fixture(params=ON_CPU)
def path(request, monkeypatch):
    monkeypatch.setenv("MEDMAMBA_SCAN", request.param)
    return request.param


def skip_unless_taken(path: str, dtype: torch.dtype) -> None:
    """Compiled paths take fewer types than the plain ones."""
    reason = "" if path == REFERENCE else by_name(path).usable(CPU, dtype)
    if reason:
        pytest.skip(reason)


@needs_reference
@pytest.mark.parametrize("file", FILES)
def test_goldens_in_float64(file, path):
    skip_unless_taken(path, torch.float64)
    assert max(run(file, torch.float64).values()) < 1e-12


@needs_reference
@pytest.mark.parametrize("file", FILES)
def test_goldens_in_float32(file, path):
    errors = run(file, torch.float32)
    assert errors.pop("y") <= 1e-6
    assert max(errors.values()) <= 5e-6


@needs_reference
@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_goldens_in_bfloat16(dtype, path):
    assert max(run("golden_L33_N16_bf16.npz", dtype).values()) <= 1e-2


@needs_reference
def test_many_lanes_give_the_golden_too(monkeypatch):
    monkeypatch.setenv("MEDMAMBA_SCAN", "chunked")
    monkeypatch.setattr(chunked, "BLOCK", 4)
    for file in FILES:
        assert max(run(file, torch.float64).values()) < 1e-12


def example(length=12, channels=3, states=2, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    shapes = [
        (1, length, channels),
        (1, length, channels),
        (channels, states),
        (1, length, states),
        (1, length, states),
    ]
    u, delta, A, B, C = (torch.randn(s, generator=g).to(dtype) for s in shapes)
    return u, delta.abs(), -A.abs(), B, C


@pytest.mark.parametrize("direction", ["forward", "reverse", "interslice"])
def test_a_bad_value_never_reaches_earlier_steps(direction, path):
    from medmamba.scan import to_scan_order

    u, *rest = example()
    u[0, 5] = float("nan")
    y = selective_scan(u, *rest, direction=direction, nslices=3)
    finite = to_scan_order(y, direction, 3).isfinite().all(-1)[0]
    step = int(to_scan_order(u, direction, 3).isnan().any(-1)[0].nonzero()[0])
    assert finite[:step].all()
    assert not finite[step:].any()


def test_float16_stays_finite_for_large_states(path):
    skip_unless_taken(path, torch.float16)
    u, delta, A, B, C = example(dtype=torch.float16)
    y = selective_scan(u * 100, delta, A * 1e-3, B * 50, C * 0.1)
    assert y.isfinite().all()


def test_repeated_runs_agree_to_the_bit(path):
    def once():
        args = [x.clone().requires_grad_() for x in example(length=40)]
        selective_scan(*args).sum().backward()
        return [a.grad for a in args]

    assert all(torch.equal(a, b) for a, b in zip(once(), once(), strict=True))


def test_wrong_shape_is_one_sentence():
    u, delta, A, B, C = example()
    with pytest.raises(ConfigError, match=r"delta has shape \(1, 11, 3\), expected \(1, 12, 3\)"):
        selective_scan(u, delta[:, 1:], A, B, C)


def test_slices_that_do_not_divide_name_both_numbers():
    with pytest.raises(ConfigError, match="12 positions into 5"):
        selective_scan(*example(), direction="interslice", nslices=5)
