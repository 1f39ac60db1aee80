"""Calls that do not fit end in one sentence; empty ones and odd ones work, on every path."""

import pytest
import torch
from torch.autograd import forward_ad

from medmamba.errors import ConfigError
from medmamba.scan import causal_conv, directional_scan, selective_scan
from medmamba.scan.dispatch import PATHS, REFERENCE

CPU = torch.device("cpu")


@pytest.fixture(params=[p.name for p in PATHS if not p.usable(CPU, torch.float32)] + [REFERENCE])
def path(request, monkeypatch):
    monkeypatch.setenv("MEDMAMBA_SCAN", request.param)


def arguments(batch=2, length=6, channels=3, states=2):
    g = torch.Generator().manual_seed(0)
    rows = (1, batch, length)
    shapes = {
        "u": (*rows, channels), "delta": (*rows, channels), "A": (1, channels, states), "B": (*rows, states),
        "C": (*rows, states), "D": (1, channels), "z": (batch, length, channels), "delta_bias": (1, channels),
    }  # fmt: skip
    found = {name: torch.randn(shape, generator=g) for name, shape in shapes.items()}
    return found | {"A": -found["A"].abs()}


@pytest.mark.parametrize("empty", ["batch", "length", "channels", "states"])
def test_an_empty_scan_has_empty_gradients(empty, path):
    t = {name: x.requires_grad_() for name, x in arguments(**{empty: 0}).items()}
    y = directional_scan(**t, delta_softplus=True)
    y.sum().backward()
    assert y.shape == t["u"].shape[1:]
    gradients = {name: x.grad for name, x in t.items() if x.grad is not None}
    assert {name: g.shape for name, g in gradients.items()} == {name: t[name].shape for name in gradients}
    assert all(g.isfinite().all() for g in gradients.values())
    assert gradients


@pytest.mark.parametrize("sizes", [(0, 5, 3), (2, 0, 3), (2, 5, 0)])
def test_an_empty_convolution_has_empty_gradients(sizes, path):
    x, weight = torch.randn(sizes, requires_grad=True), torch.randn(1, sizes[2], 4, requires_grad=True)
    out = causal_conv(x, weight)
    out.sum().backward()
    assert out.shape == (1, *sizes)
    assert x.grad.shape == sizes
    assert weight.grad.eq(0).all() or out.numel()


@pytest.mark.parametrize("name", ["delta", "A", "B", "C", "D", "z", "delta_bias"])
def test_another_device_or_a_complex_number_is_named(name, path):
    t = arguments()
    with pytest.raises(ConfigError, match=f"{name} is on meta, u on cpu"):
        directional_scan(**t | {name: t[name].to("meta")})
    with pytest.raises(ConfigError, match=f"{name} is complex"):
        directional_scan(**t | {name: t[name].to(torch.complex64)})


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_only_floating_types_are_scanned(dtype, path):
    name = str(dtype).removeprefix("torch.")
    t = arguments()
    with pytest.raises(ConfigError, match=f"u has type {name}"):
        directional_scan(**t | {"u": t["u"].to(dtype)})
    with pytest.raises(ConfigError, match=f"x has type {name}"):
        causal_conv(t["z"].to(dtype), torch.zeros(1, 3, 4))


@pytest.mark.parametrize(
    ("x", "weight", "bias", "problem"),
    [
        ((9, 3), (1, 3, 4), None, "x has shape"),
        ((2, 9, 3), (1, 3, 0), None, "no taps"),
        ((2, 9, 3), (1, 3, 4), (3,), r"bias has shape \(3,\), expected \(1, 3\)"),
        ((2, 9, 3), (1, 3, 4), (1, 2), r"bias has shape \(1, 2\), expected \(1, 3\)"),
    ],
)
def test_shapes_of_a_convolution(x, weight, bias, problem, path):
    with pytest.raises(ConfigError, match=problem):
        causal_conv(torch.zeros(x), torch.zeros(weight), None if bias is None else torch.zeros(bias))


def test_parameters_of_a_convolution_lie_where_its_input_lies(path):
    with pytest.raises(ConfigError, match="weight is on meta, x on cpu"):
        causal_conv(torch.zeros(2, 9, 3), torch.zeros(1, 3, 4, device="meta"))


@pytest.mark.parametrize("name", [p.name for p in PATHS if not p.usable(CPU, torch.float32)])
def test_a_second_derivative_is_refused(name, monkeypatch):
    monkeypatch.setenv("MEDMAMBA_SCAN", name)
    t = arguments()
    u = t.pop("u").requires_grad_()
    (gradient,) = torch.autograd.grad(directional_scan(u, **t).square().sum(), u, create_graph=True)
    with pytest.raises(ConfigError, match="no second derivative"):
        gradient.sum().backward()


@pytest.mark.filterwarnings("ignore")  # torch's forward mode uses what torch has deprecated
@pytest.mark.parametrize("name", [p.name for p in PATHS if not p.usable(CPU, torch.float32)])
def test_a_forward_derivative_is_refused_where_it_would_be_dropped(name, monkeypatch):
    monkeypatch.setenv("MEDMAMBA_SCAN", name)
    t = arguments()
    with forward_ad.dual_level(), pytest.raises(ConfigError, match="selective_scan has no forward-mode derivative"):
        directional_scan(**t | {"u": forward_ad.make_dual(t["u"], t["u"])})
    if name == "cpu":
        with pytest.raises(ConfigError, match="causal_conv has no forward-mode derivative"):
            torch.func.jvp(lambda x: causal_conv(x, torch.ones(1, 3, 4)), (t["z"],), (t["z"],))


@pytest.mark.filterwarnings("ignore")
def test_the_reference_has_a_forward_derivative(monkeypatch):
    """The scan is linear in u: its derivative along u is the scan itself."""
    monkeypatch.setenv("MEDMAMBA_SCAN", REFERENCE)
    t = arguments()
    u = t.pop("u")
    y, tangent = torch.func.jvp(lambda x: directional_scan(x, **t), (u,), (u,))
    torch.testing.assert_close(tangent, y)


def test_vmap_is_a_loop(path):
    u, delta, A, B, C = (arguments()[name][0] for name in ("u", "delta", "A", "B", "C"))
    several = torch.stack([u, 2 * u, -u])
    found = torch.func.vmap(lambda x: selective_scan(x, delta.abs(), A, B, C))(several)
    wanted = torch.stack([selective_scan(x, delta.abs(), A, B, C) for x in several])
    torch.testing.assert_close(found, wanted)
