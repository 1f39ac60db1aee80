"""The kernels compile for real GPUs without one, within their registers. In a process without the interpreter."""

import json
import os
import subprocess
import sys

import pytest

CODE = """
import json, sys
from dataclasses import asdict
from medmamba.scan.gpu.compiled import compiled_kernels
states, dtype, capability = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print(json.dumps([asdict(row) for row in compiled_kernels(states, (dtype,), (capability,))]))
"""
SPILLED = {8: 24, 16: 96}  # bytes of a thread in the main backward pass: invariant addresses, read once in four steps


@pytest.mark.parametrize(("states", "dtype", "capability"), [(16, "bfloat16", 90), (8, "float32", 80)])
def test_no_kernel_spills_its_state(states, dtype, capability):
    pytest.importorskip("triton")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(states), dtype, str(capability)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    rows = json.loads(done.stdout)
    assert {"forward, 1 a lane", "backward", "compose", "convolution backward"} <= {row["kernel"] for row in rows}
    for row in rows:
        assert row["spilled"] <= (SPILLED[states] if row["kernel"].startswith("backward") else 24), row
        assert row["programs"] >= 2, row
        assert row["shared"] <= 4096, row


def test_interpreted_kernels_are_refused(kernel_device):
    if kernel_device.type == "cuda":
        pytest.skip("the kernels are compiled ones")
    from medmamba.errors import SetupError
    from medmamba.scan.gpu.compiled import compiled_kernels

    with pytest.raises(SetupError, match="interpreter"):
        compiled_kernels()
