"""What only the compiled path has: several instruction sets, threads, and segments of one sequence side by side."""

import pytest
import torch

from medmamba.kernels import library
from medmamba.scan import cpu
from medmamba.scan.dispatch import by_name
from medmamba.scan.inputs import ScanInputs
from medmamba.scan.orders import Order

pytestmark = pytest.mark.skipif(library.load() is None, reason="the compiled library is not built")


FORWARD = (Order(),)


def example(length=300, channels=21, states=16, orders=FORWARD, decay=4.0, gate=True, dtype=torch.float32, batch=1):
    g = torch.Generator().manual_seed(3)
    rows = (len(orders), batch, length)

    def draw(*shape):
        return torch.randn(*shape, generator=g)

    return ScanInputs(
        draw(*rows, channels).to(dtype),
        (draw(*rows, channels) - 2).to(dtype),
        -torch.rand(len(orders), channels, states, generator=g) * decay,
        draw(*rows, states).to(dtype),
        draw(*rows, states).to(dtype),
        draw(len(orders), channels),
        draw(batch, length, channels).to(dtype) if gate else None,
        draw(len(orders), channels),
        True,
        orders,
    )


def assert_same(found, wanted, relative=2e-6):
    for a, b in zip(found, wanted, strict=True):
        assert (a.double() - b.double()).norm() <= relative * b.double().norm()


def _has(level):
    try:
        with library.using(level):
            return True
    except Exception:
        return False


@pytest.mark.parametrize("level", library.LEVELS)
def test_every_instruction_set_gives_the_same(level):
    if not _has(level):
        pytest.skip(f"this CPU has no {level}")
    s = example(orders=(Order(), Order(5), Order(reverse=True)))
    dy = torch.randn(s.u.shape[1:], generator=torch.Generator().manual_seed(4))
    y, last, kept = by_name("chunked").forward(s, True)
    wanted = by_name("chunked").backward(s, kept, dy)
    with library.using(level):
        assert library.isa() == level
        found_y, found_last, kept = cpu.forward(s, True)
        found = cpu.backward(s, kept, dy)
    assert_same((found_y, found_last), (y, last))
    assert_same(found, wanted, 1e-5)


@pytest.mark.parametrize("decay", [4.0, 1e-3], ids=["fast", "slow"])
@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("orders", [(Order(),), (Order(reverse=True), Order(10))], ids=["one", "two"])
def test_segments_side_by_side_give_the_whole(orders, dtype, gate, decay, monkeypatch):
    """A state that decays fast lets the second pass stop early, one that decays slowly does not."""
    s = example(900, 5, 9, orders, decay, gate, dtype, batch=2)
    y, last, kept = cpu.forward(s, True)
    monkeypatch.setattr(cpu, "_segments", lambda s, threads: 4)
    found = cpu.forward(s, True)
    assert_same(found, (y, last, kept), 2e-6 if dtype == torch.float32 else 1e-3)


def test_few_channels_and_many_threads_ask_for_segments():
    s = example(65536, 8, 2)
    assert cpu._segments(s, 1) == 1
    assert cpu._segments(s, 8) > 1
    assert cpu._segments(example(65536, 512, 1), 8) == 1
    assert cpu._segments(example(100, 8, 2), 8) == 1


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_gives_the_same(threads, monkeypatch):
    s = example(200, 50, 16)
    dy = torch.ones(s.u.shape[1:])
    y, last, kept = cpu.forward(s, True)
    wanted = cpu.backward(s, kept, dy)
    monkeypatch.setattr(cpu, "_threads", lambda s: threads)
    found_y, found_last, found_kept = cpu.forward(s, True)
    assert torch.equal(found_y, y)
    assert torch.equal(found_last, last)
    assert_same(cpu.backward(s, found_kept, dy), wanted, 1e-6)


def test_a_state_that_decays_to_nothing_is_zero_not_denormal():
    s = example(400, 8, 4, decay=1.0)
    s.u[:, :, 1:] = 0
    last = cpu.forward(s, False)[1]
    assert (last[last != 0].abs() > 1e-38).all()


def test_strided_last_dimension_is_taken_too():
    s = example(40, 6, 4)
    turned = ScanInputs(s.u.mT.contiguous().mT, *[getattr(s, n) for n in list(s.__dataclass_fields__)[1:]])
    assert turned.u.stride(-1) != 1
    assert torch.equal(cpu.forward(turned, False)[0], cpu.forward(s, False)[0])


def test_segments_that_grow_without_bound_from_nothing_stay_nothing(monkeypatch):
    """The product of a segment's decays is infinite, what it multiplies is zero."""
    s = example(900, 5, 9, gate=False, batch=2)
    s.A.neg_()
    s.u.zero_()
    monkeypatch.setattr(cpu, "_segments", lambda s, threads: 4)
    assert all(x.eq(0).all() for x in cpu.forward(s, True))
