import pytest
import torch

from medmamba.bench.workloads import DEFAULT, THREE, WORKLOADS, chosen, make_case, workload
from medmamba.errors import ConfigError

CPU = torch.device("cpu")


def test_slices_divide_every_length() -> None:
    assert [one.name for one in WORKLOADS if one.length % one.slices] == []


def test_names_and_all() -> None:
    assert tuple(one.name for one in chosen([])) == DEFAULT
    assert chosen(["all"]) == WORKLOADS
    assert [one.name for one in chosen(["vivim-0"])] == ["vivim-0"]


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"no scan workload 'nothing'.*segmamba-0"):
        workload("nothing")


def test_cut_to_a_number_of_elements() -> None:
    gate = workload("gate")
    assert gate.elements() == 96 * 16 * 65536
    assert gate.within(2**62) == gate
    cut = gate.within(2**20)
    assert cut.length == 512 and cut.slices == 64
    assert gate.within(2**14).slices == gate.within(2**14).length == 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_case_has_the_layout_of_a_layer(dtype: torch.dtype) -> None:
    shape = workload("gate").within(2**16)
    case = make_case(shape, THREE, dtype, CPU)
    t = case.tensors
    assert t["u"].shape == t["delta"].shape == (3, 1, shape.length, 96)
    assert t["B"].shape == (3, 1, shape.length, 16) and t["z"].shape == (1, shape.length, 96)
    assert not t["B"].is_contiguous() and not t["z"].is_contiguous()
    assert t["A"].dtype == t["delta_bias"].dtype == torch.float32 and t["u"].dtype == dtype
    assert all(leaf.is_leaf and leaf.requires_grad for leaf in (*case.stacked().values(), *case.single(2).values()))
    assert torch.equal(case.single(2)["u"], t["u"][2])
    again = make_case(shape, THREE, dtype, CPU)
    assert all(torch.equal(again.tensors[name], x) for name, x in t.items())
