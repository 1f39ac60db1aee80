"""The kernels put together against the step-by-step scan: shapes, orders, strides, types, how time is cut."""

import pytest
import torch

from medmamba.scan import triton
from medmamba.scan.inputs import ScanInputs
from medmamba.scan.orders import Order
from medmamba.scan.reference import selective_scan_reference

THREE = (Order(), Order(reverse=True), Order(4))


def draw(sizes, orders, device, dtype=torch.float32, optional=True, seed=0):
    """Random inputs; B and C are slices of one tensor with odd strides, z and dy halves of wider ones."""
    (batch, length, channels, states), K = sizes, len(orders)
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=g).to(device)

    projected = normal(K, batch, length, 3 + 2 * states).to(dtype)
    z = normal(batch, length, 2 * channels).to(dtype)[..., channels:]
    inputs = ScanInputs(
        u=normal(K, batch, length, channels).to(dtype),
        delta=normal(K, batch, length, channels).to(dtype)
        if optional
        else normal(K, batch, length, channels).abs() / 4,
        A=-normal(K, channels, states).abs() - 0.05,
        B=projected[..., 3 : 3 + states],
        C=projected[..., 3 + states :],
        D=normal(K, channels) if optional else None,
        z=z if optional else None,
        delta_bias=normal(K, channels) if optional else None,
        delta_softplus=optional,
        orders=orders,
    )
    return inputs, normal(batch, length, 2 * channels).to(dtype)[..., :channels]


def oracle(s, dy):
    """(y, last, gradients) in float64, one direction after the other, gated once."""
    names = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")
    wide = {n: None if getattr(s, n) is None else getattr(s, n).detach().cpu().double().requires_grad_() for n in names}
    total, lasts = 0, []
    for k, order in enumerate(s.orders):
        one = {n: None if wide[n] is None else wide[n][k] for n in names if n != "z"}
        for n in ("u", "delta", "B", "C"):
            one[n] = order.to_steps(one[n])
        y, last = selective_scan_reference(**one, delta_softplus=s.delta_softplus)
        total = total + order.to_positions(y)
        lasts.append(last)
    if wide["z"] is not None:
        total = total * torch.nn.functional.silu(wide["z"])
    total.backward(dy.cpu().double())
    return total.detach(), torch.stack(lasts).detach(), [None if wide[n] is None else wide[n].grad for n in names]


def check(s, dy, bound=5e-6):
    y, last, kept = triton.forward(s, keep_states=True)
    wanted = oracle(s, dy)
    pairs = [(y, wanted[0]), (last, wanted[1])]
    pairs += zip(triton.backward(s, kept, dy), wanted[2], strict=True)
    for got, want in pairs:
        assert (got is None) == (want is None)
        if got is not None:
            error = (got.cpu().double() - want).norm()
            assert error <= bound * want.norm() + 1e-6


@pytest.mark.parametrize(
    ("sizes", "orders", "optional"),
    [
        ((1, 36, 5, 8), THREE, True),
        ((2, 15, 37, 3), (Order(5, True),), True),
        ((1, 4, 32, 16), (Order(), Order(reverse=True)), False),
        ((1, 1, 1, 1), (Order(),), False),
        ((1, 2, 1, 256), (Order(),), True),
        ((2, 6, 40, 2), (Order(reverse=True),), True),
        ((1, 34, 9, 33), (Order(),), True),
        ((1, 33, 2, 2), (Order(11, True),), True),  # a second segment of one step, in a group of four
    ],
)
def test_equals_the_step_by_step_scan(sizes, orders, optional, kernel_device):
    check(*draw(sizes, orders, kernel_device, optional=optional))


@pytest.mark.parametrize("cut", [(64, 1), (32, 2)])
def test_cutting_time_changes_nothing(cut, kernel_device, monkeypatch):
    from medmamba.scan.gpu import launch

    monkeypatch.setattr(launch, "segments", lambda *a: cut)
    check(*draw((1, 38, 3, 4), (Order(), Order(2, True)), kernel_device))


def test_any_number_of_sequences_fits_one_axis_of_programs(kernel_device):
    from medmamba.scan.gpu import launch

    s, _ = draw((1, 33, 37, 4), (Order(),), kernel_device)
    scan = launch.Scan(s, backward=False)
    blocks = 2
    assert scan.grid(70000)({"D1": 1, "D2": 32}) == (blocks * scan.parts * 70000,)


def test_long_rows_are_addressed_with_64_bits(kernel_device, monkeypatch):
    from medmamba.scan.gpu import launch

    narrow = launch.Scan.constants
    monkeypatch.setattr(launch.Scan, "constants", lambda self, *a: narrow(self, *a) | {"WIDE": True})
    check(*draw((1, 12, 3, 2), THREE, kernel_device))


def test_half_types_round_on_load_and_store_only(kernel_device):
    for dtype in (torch.bfloat16, torch.float16):
        check(*draw((1, 12, 5, 4), THREE, kernel_device, dtype), bound=1e-2)


def test_the_sum_before_the_gate_may_pass_the_largest_float16(kernel_device):
    s, _ = draw((1, 4, 3, 2), (Order(), Order(reverse=True)), kernel_device, torch.float16)
    s.u.fill_(3e4), s.delta.fill_(3), s.B.fill_(1), s.C.fill_(1), s.z.fill_(-12)
    y, last, _ = triton.forward(s, keep_states=False)
    assert last.abs().max() > 65504
    assert y.isfinite().all()


@pytest.mark.parametrize("order", [Order(), Order(reverse=True), Order(4)])
def test_a_bad_value_never_reaches_earlier_steps(order, kernel_device):
    s, _ = draw((1, 40, 3, 2), (order,), kernel_device)
    s.u[0, 0, 22] = float("nan")
    finite = order.to_steps(triton.forward(s, keep_states=False)[0].isfinite().all(-1))[0]
    step = int(order.to_steps(s.u[0].isnan().any(-1))[0].nonzero()[0])
    assert finite[:step].all()
    assert not finite[step:].any()


def test_repeated_runs_agree_to_the_bit(kernel_device):
    length = 9 if kernel_device.type == "cpu" else 9999
    s, dy = draw((1, length, 40, 4), (Order(), Order(3)), kernel_device)

    def once():
        y, last, kept = triton.forward(s, keep_states=True)
        return y, last, *triton.backward(s, kept, dy)

    assert all(torch.equal(a, b) for a, b in zip(once(), once(), strict=True))
