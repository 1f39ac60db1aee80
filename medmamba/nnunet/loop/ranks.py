"""nnU-Net's trainer on several processes, one for each GPU (or on CPUs), on one machine or on many.

Stock nnU-Net takes the global rank for the number of the GPU, so that a second machine asks for GPUs that it does not
have, and knows CUDA only. Here a process takes the GPU of its local rank, gloo serves CPUs, and together all processes
see the very batch that a single one would see.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ...errors import ConfigError, SetupError
from .stream import Share

_Value = TypeVar("_Value")
_TIMEOUT = timedelta(hours=2)
"""How long processes wait for each other: the first one may be validating or preparing data."""


def wanted() -> bool:
    """Whether this process was started as one of several (by torchrun, Slurm's own variables set likewise)."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def first() -> bool:
    """Whether this process is the one that writes and talks."""
    return int(os.environ.get("RANK", "0")) == 0


def local_rank() -> int:
    """Number of this process on its machine."""
    return int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")))


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the other processes, if this one is one of several, and leave them together; yields this one's device.

    Within a block of its own kind it changes nothing. Several runs in a row need one such block around all of them:
    torch's processes that have parted may not find each other again.

    SetupError when there are more processes than GPUs on this machine, or when the others do not come.
    """
    if not wanted():
        yield device
        return
    if dist.is_initialized():
        yield torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" else device
        return
    if device.type == "cuda":
        if local_rank() >= torch.cuda.device_count():
            raise SetupError(
                f"Process {local_rank()} of this machine has no GPU: there are {torch.cuda.device_count()}.",
                "Start as many processes on a machine as it has GPUs.",
            )
        device = torch.device("cuda", local_rank())
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)
    except (RuntimeError, ValueError, dist.DistError) as error:
        raise SetupError(
            f"The processes of this run did not find each other: {str(error).splitlines()[0]}",
            "Start them with torchrun, or with medmamba train --gpus N.",
        ) from error
    try:
        yield device
        dist.barrier()  # one that left early would pull down the others
    finally:
        dist.destroy_process_group()


def share_of(whole: int, rank: int, world: int) -> Share:
    """The slots of a batch of `whole` samples that process `rank` of `world` makes: as equal as can be, in order."""
    if whole < world:
        raise ConfigError(
            f"A batch of {whole} cannot be shared by {world} processes.", f"Use --batch-size {world}, or fewer GPUs."
        )
    sizes = [whole // world + (1 if one < whole % world else 0) for one in range(world)]
    return Share(first=sum(sizes[:rank]), size=sizes[rank], whole=whole)


class RankedTrainer(nnUNetTrainer):
    """nnU-Net's trainer, one of `world` processes, number `rank`; process 0 writes. `share` is its part of a batch."""

    is_ddp: bool
    network: Any
    grad_scaler: Any

    def __init__(  # nnU-Net reads its own arguments by these very names
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008
    ) -> None:
        with warnings.catch_warnings():
            # among several processes nnU-Net takes CUDA for granted and makes a loss scaler for it
            warnings.filterwarnings("ignore", ".*GradScaler is enabled, but CUDA is not available")
            super().__init__(plans, configuration, fold, dataset_json, device)
        self.rank = dist.get_rank() if self.is_ddp else 0
        self.world = dist.get_world_size() if self.is_ddp else 1
        self.share = Share(0, 0, 0)
        if self.is_ddp:
            self.device = torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" else device
            if device.type != "cuda":
                self.grad_scaler = None

    def initialize(self) -> None:
        several, self.is_ddp = self.is_ddp, False
        try:
            super().initialize()
        finally:
            self.is_ddp = several
        if self.is_ddp:
            on_gpu = self.device.type == "cuda"
            network = nn.SyncBatchNorm.convert_sync_batchnorm(self.network) if on_gpu else self.network
            self.network = DistributedDataParallel(network, [self.device.index] if on_gpu else None)
            self.loss = self._build_loss()  # a batch's Dice is that of all processes

    def _set_batch_size_and_oversample(self) -> None:
        self.share = share_of(self.configuration_manager.batch_size, self.rank, self.world)
        self.batch_size = self.share.size

    def any_of_all(self, flag: bool) -> bool:
        """Whether the flag is set in any process, so that all take the same way."""
        if not self.is_ddp:
            return flag
        state = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(state, dist.ReduceOp.MAX)
        return bool(state)

    def agree(self, loss: float, flag: bool) -> tuple[float, bool]:
        """The loss over all samples of the batch, and whether the flag is set in any process; one message for both."""
        if not self.is_ddp:
            return loss, flag
        sums = torch.tensor([loss * self.share.size, float(flag)], dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        return float(sums[0]) / self.share.whole, bool(sums[1])

    def of_the_first(self, value: _Value) -> _Value:
        """What the first process has for this value."""
        values = [value]
        if self.is_ddp:
            dist.broadcast_object_list(values)
        return values[0]

    def of_all(self, values: list[_Value]) -> list[_Value]:
        """The values of every process in one list, in the order of the processes."""
        if not self.is_ddp:
            return values
        gathered: list[Any] = [None] * self.world
        dist.all_gather_object(gathered, values)
        return [value for part in gathered for value in part]

    def wait_for_all(self) -> None:
        """Go on when every process has come here."""
        if self.is_ddp:
            dist.barrier()
