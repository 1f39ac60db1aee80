"""A Ray cluster: connected to quietly, and divided among workers."""

import logging
import os
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ... import runtime
from ...errors import SetupError
from .failures import reason

_ANSWER = 10.0
"""Seconds in which somebody has to answer at an address."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing about this machine leaves it
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what it has to say about lost workers is said here
}


@dataclass(frozen=True)
class Shares:
    """How the machines are divided among the workers."""

    workers: int
    cpus: float
    """Cores of each."""
    gpus: float
    """GPUs of each: 1 or 0."""

    def __str__(self) -> str:
        gpu = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.workers} workers with {self.cpus:g} cores{gpu} each"


def divide(ray: Any, jobs: int | None, device: str) -> Shares:
    """The workers that a cluster has room for: one a GPU, unless the CPU is asked for or there is none."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(sum(node.get("GPU", 0) for node in nodes))
    if gpus and device != "cpu":
        hosts = [node for node in nodes if node.get("GPU")]
        return Shares(gpus, max(1, min(int(node.get("CPU", 1) // node["GPU"]) for node in hosts)), 1)
    cores = [node["CPU"] for node in nodes if node.get("CPU")] or [1]
    workers = max(1, jobs or len(cores))
    each = min(cores) / -(-workers // len(cores))
    return Shares(workers, int(each) if each >= 1 else round(each - 5e-5, 4), 0)


@contextmanager
def cluster(address: str) -> Iterator[Any]:
    """The module ray, connected for the duration of the block. SetupError when that cannot be."""
    os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
    before = signal.getsignal(signal.SIGTERM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # files that Ray leaves open
        try:
            import ray
        except ImportError as error:
            raise SetupError("The package ray is not installed.", "pip install 'medmamba[ray]'") from error
        _connect(ray, address)
        try:
            yield ray
        finally:
            ray.shutdown()
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # Ray takes it and does not give it back


def _connect(ray: Any, address: str) -> None:
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address != "auto":
            _knock(address)
            ray.init(address=address, **quiet)
            return
        try:
            ray.init(address="auto", **quiet)
        except ConnectionError:
            ray.init(address="local", num_cpus=runtime.cpu_count(), include_dashboard=False, **quiet)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError, OSError) as error:
        raise SetupError(
            f"No Ray cluster answers at {address}: {reason(error)}.",
            "Start one with `ray start --head`, or use --ray auto for this machine alone.",
        ) from error


def _knock(address: str) -> None:
    """Raise OSError or ValueError when nobody listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=_ANSWER):
        pass
