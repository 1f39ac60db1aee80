"""Whole commands measured: memory over processes, CPU seconds of children, limits, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from medmamba.bench import process_tree

MIB = 2**20
ROOT = Path(__file__).parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="shares of memory and limits from outside: Linux only")
_FILL = "import time; block = b'x' * ({size} * 2**20); time.sleep({seconds})"


def gone(pid: int) -> bool:
    """Whether a process ends within a few seconds; one that nobody has waited for yet has ended."""
    for _ in range(50):
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.1)
                continue
        return True
    return False


def measure(code: str, tmp_path: Path, **how: object) -> process_tree.Usage:
    return process_tree.run([sys.executable, "-S", "-c", code], dict(os.environ), tmp_path / "log", **how)


@linux
def test_children_count_and_pages_that_they_share_count_once(tmp_path: Path) -> None:
    alone = measure(_FILL.format(size=200, seconds=0.4), tmp_path)
    forked = measure(
        f"import os\npid = None\n{_FILL.format(size=200, seconds=0)}\nos.fork()\ntime.sleep(0.4)", tmp_path
    )
    assert alone.peak / MIB == pytest.approx(210, abs=15) and alone.processes == 1
    assert forked.peak / MIB == pytest.approx(alone.peak / MIB, abs=15) and forked.processes == 2
    start = f"[sys.executable, '-S', '-c', {_FILL.format(size=100, seconds=0.8)!r}]"
    code = f"import subprocess, sys\nfor one in [subprocess.Popen({start}) for _ in 'ab']: one.wait()"
    both = measure(code, tmp_path)
    assert both.peak / MIB == pytest.approx(220, abs=25) and both.processes == 3


@linux
def test_mapped_files_are_told_from_what_has_to_stay(tmp_path: Path) -> None:
    file = tmp_path / "block"
    file.write_bytes(b"x" * (100 * MIB))
    code = (
        f"import mmap, time; f = open({str(file)!r}, 'r+b'); m = mmap.mmap(f.fileno(), 0); m[::4096]; time.sleep(0.4)"
    )
    usage = measure(code, tmp_path)
    assert usage.peak / MIB > 100 > 30 > usage.held / MIB


def test_cpu_seconds_are_those_of_children_too(tmp_path: Path) -> None:
    busy = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    usage = measure(f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {busy!r}])", tmp_path)
    assert 0.5 <= usage.cpu < 1.5
    assert usage.wall >= 0.5


@linux
def test_memory_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    code = "try: bytearray(400 * 2**20)\nexcept MemoryError: print('refused')"
    late = f"import time; time.sleep(0.2)\n{code}"  # the limit is set just after the start
    assert measure(late, tmp_path, memory=200 * MIB).text == "refused"
    assert measure(late, tmp_path, memory=800 * MIB).text == ""


@linux
def test_cores(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    code = "import os, time; time.sleep(0.2); print(os.sched_getaffinity(0))"
    assert measure(code, tmp_path, cores=[core]).text == f"{{{core}}}"


def test_exit_code_and_last_lines(tmp_path: Path) -> None:
    usage = measure("import sys\nfor i in range(30): print(i)\nsys.exit(3)", tmp_path)
    assert usage.code == 3 and usage.text.splitlines() == [str(i) for i in range(10, 30)]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    start = "[sys.executable, '-S', '-c', 'import time; time.sleep(60)']"
    code = f"import subprocess, sys; print(subprocess.Popen({start}).pid)"
    assert gone(int(measure(code, tmp_path).text))


@linux
def test_a_terminated_measurement_takes_its_command_along(tmp_path: Path) -> None:
    inner = "[sys.executable, '-S', '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(60)']"
    code = "import os, sys; from pathlib import Path; from medmamba.bench import process_tree; "
    code += f"process_tree.run({inner}, dict(os.environ), Path({str(tmp_path / 'log')!r}))"
    outer = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while not (tmp_path / "log").is_file() or not (tmp_path / "log").read_text().endswith("\n"):
        time.sleep(0.1)
        assert outer.poll() is None
    outer.terminate()
    assert outer.wait(20) == 128 + signal.SIGTERM
    assert gone(int((tmp_path / "log").read_text()))
