"""What a whole command costs: wall time, the processor's seconds and the memory of it and all it starts."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil  # type: ignore[import-untyped]

_EVERY = 0.05
"""Seconds between two looks at the memory."""
_SHARE = 0.05
"""Most of one core that the looks may take: large processes are looked at less often."""
_ROLLUP = Path("/proc/self/smaps_rollup")
_TELLS = _ROLLUP.exists() and "Pss_Anon:" in _ROLLUP.read_text()
MEASURE = "private and shared memory, each page once, and mapped files once" if _TELLS else "sum of USS"
"""How the memory of several processes is added up. Linux: each process bears its share of anonymous and shared pages
(PSS), and of mapped files, which are mostly the same libraries, those of the process that has most of them resident.
PSS of libraries would depend on what else runs on the machine. Elsewhere: what each process has for itself (USS)."""


@dataclass(frozen=True)
class Usage:
    """What a command took."""

    wall: float
    """Seconds from its start to its end."""
    cpu: float
    """Seconds that all its processes worked, in user and system mode."""
    peak: int
    """Most bytes of resident memory at once, all processes together (see MEASURE). Sampled."""
    held: int
    """The same without mapped files, which the system can drop at any time. Elsewhere than on Linux: as `peak`."""
    processes: int
    """Most processes at once."""
    code: int
    """Exit code; negative: ended by that signal."""
    text: str
    """The last lines of its output."""


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    cores: Sequence[int] | None = None,
    memory: int | None = None,
) -> Usage:
    """Run a command to its end and measure it and its descendants; output goes to the file `log`.

    `cores`: the only ones it may use (Linux). `memory`: bytes of private memory that each of its processes may have
    (Linux, RLIMIT_DATA); an allocation beyond fails. Whatever ends this call ends the command's processes.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        with _ended(process), _watched(process.pid) as watch:
            _restrict(process.pid, cores, memory)
            code, seconds = _wait(process)
            wall = time.perf_counter() - started
    return Usage(wall, max(seconds, watch.seconds()), watch.peak, watch.held, watch.processes, code, _tail(log))


def _wait(process: "subprocess.Popen[bytes]") -> tuple[int, float]:
    """Exit code, and processor seconds of the process and of its descendants that were waited for."""
    if not hasattr(os, "wait4"):
        return process.wait(), 0.0
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_utime + used.ru_stime


@contextmanager
def _ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Leave no process of the command behind, whatever happens."""
    here = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _leave) if here else None
    try:
        yield
    finally:
        if here:
            signal.signal(signal.SIGTERM, before)
        with suppress(OSError):  # there is none any more
            os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
        process.wait()


def _leave(number: int, frame: object) -> NoReturn:
    """End as SIGTERM does, but not before the command's processes have ended."""
    raise SystemExit(128 + number)


def _restrict(pid: int, cores: Sequence[int] | None, memory: int | None) -> None:
    """Set the limits from outside; what the process starts later inherits them."""
    process = psutil.Process(pid)
    with suppress(psutil.NoSuchProcess):
        if cores is not None and hasattr(process, "cpu_affinity"):
            process.cpu_affinity(list(cores))
        if memory is not None and hasattr(process, "rlimit"):
            process.rlimit(psutil.RLIMIT_DATA, (memory, memory))


class _Watch:
    """Looks at a process and its descendants again and again, from a thread."""

    def __init__(self, pid: int) -> None:
        self.peak = self.held = self.processes = 0
        self._cpu: dict[tuple[int, float], float] = {}
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="memory", daemon=True)
        self._thread.start()

    def seconds(self) -> float:
        """Processor seconds of all processes as last seen."""
        return sum(self._cpu.values())

    def stop(self) -> None:
        """End the looking."""
        self._over.set()
        self._thread.join()

    def _loop(self) -> None:
        pause = 0.0
        while not self._over.wait(pause):
            started = time.thread_time()
            self._look()
            pause = max(_EVERY, (time.thread_time() - started) / _SHARE)

    def _look(self) -> None:
        sizes = []
        for process in _family(self._pid):
            with suppress(psutil.Error, OSError, KeyError):  # it has just ended
                sizes.append(memory_of(process))
                times = process.cpu_times()
                self._cpu[process.pid, process.create_time()] = times.user + times.system
        held = sum(own for own, _ in sizes)
        self.peak = max(self.peak, held + max((mapped for _, mapped in sizes), default=0))
        self.held = max(self.held, held)
        self.processes = max(self.processes, len(sizes))


@contextmanager
def _watched(pid: int) -> Iterator[_Watch]:
    watch = _Watch(pid)
    try:
        yield watch
    finally:
        watch.stop()


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def memory_of(process: psutil.Process) -> tuple[int, int]:
    """Resident bytes of a process: (its share of what is anonymous or shared between processes, mapped files)."""
    if not _TELLS:
        return int(process.memory_full_info().uss), 0
    shares, whole = (_sizes(process.pid, name) for name in ("smaps_rollup", "status"))
    return shares["Pss_Anon"] + shares["Pss_Shmem"], whole["RssFile"]


def _sizes(pid: int, name: str) -> dict[str, int]:
    """Lines "Name:  12 kB" of a file of /proc, in bytes."""
    lines = (line.split() for line in Path("/proc", str(pid), name).read_text().splitlines() if line.endswith(" kB"))
    return {words[0].rstrip(":"): int(words[-2]) * 1024 for words in lines}


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
