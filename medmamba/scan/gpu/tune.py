# mypy: disable-error-code="import-untyped,import-not-found"
"""Measured choices between configurations of a kernel that give the same result to the bit, kept on disk by Triton.

Channels per lane (D1) and the ceiling on registers trade loads that neighbours share against warps that run together;
neither changes the order of any sum. What would change one, the length of a segment or the channels of the backward,
follows from the shapes alone (see `plan`). A program is always one warp: warps share nothing here.
"""

from collections.abc import Callable
from inspect import signature
from typing import Any

import triton

from .plan import padded

WORTH_MEASURING = 2**22
"""Batch * length * channels * states of a launch, a few microseconds of a large GPU."""


def is_even(args: dict[str, Any]) -> bool:
    """Whether no tile reaches over an edge: whole groups of four steps, whole blocks of channels, N a power of two."""
    whole_channels = args["D"] % (args["D1"] * args["D2"]) == 0
    return args["length"] % 4 == 0 and whole_channels and padded(args["N"]) == args["N"]


def wide_enough(configs: list[Any], given: dict[str, Any], **more: Any) -> list[Any]:
    """Without the configurations whose block of channels is only partly filled or holds too many states."""
    args = given | more
    wide = args["N"] <= 16 and args["D"] % 64 == 0
    return [config for config in configs if wide or config.kwargs["D1"] == 1]


FORWARD = (
    triton.Config({"D1": 1}, num_warps=1),
    triton.Config({"D1": 1}, num_warps=1, maxnreg=128),
    triton.Config({"D1": 2}, num_warps=1),
)
BACKWARD = (triton.Config({}, num_warps=1), triton.Config({}, num_warps=1, maxnreg=168))


class Tuned:
    """A kernel in its first configuration for little work, else in the one that is fastest for every new `key`.

    A measurement of little work sees the launch, and its winner would then run the large work of the same key. The
    interpreter has nothing to measure; `bench` stands in for Triton's own timing.
    """

    def __init__(
        self, kernel: Any, configs: tuple[Any, ...], key: list[str], bench: Callable[..., Any] | None = None
    ) -> None:
        even = triton.heuristics({"EVEN": is_even})(kernel)
        measurable = bench is not None or isinstance(kernel, triton.JITFunction)
        prune = {"early_config_prune": wide_enough} if "D1" in configs[0].kwargs else None
        restore = ["total"] if "total" in kernel.arg_names else None
        # from Triton 3.4 on, winners are kept on disk
        keep = {"cache_results": bench is None} if "cache_results" in signature(triton.autotune).parameters else {}
        self.first = triton.autotune(configs[:1], key)(even)
        self.fastest = triton.autotune(
            list(configs if measurable else configs[:1]), key,
            prune_configs_by=prune, restore_value=restore, do_bench=bench, **keep,
        )(even)  # fmt: skip

    def of(self, work: int) -> Any:
        """The form for a launch over `work` steps times states."""
        return self.fastest if work >= WORTH_MEASURING else self.first
