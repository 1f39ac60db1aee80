import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medmamba.data.check.pool import Job, spread

ROOT = Path(__file__).parents[3]


def square(number: int) -> int:
    """The square of a number; some numbers kill whoever computes them."""
    if number in (5, 6, 19):
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def lost(job: Job) -> int:
    return -job[0]


def test_whoever_dies_is_named_and_the_rest_is_done() -> None:
    assert dict(spread(square, [(number,) for number in range(20)], 3, lost)) == {
        number: -number if number in (5, 6, 19) else number**2 for number in range(20)
    }


def test_without_processes_and_without_jobs() -> None:
    assert list(spread(square, [(2,), (3,)], 0, lost)) == [(0, 4), (1, 9)]
    assert list(spread(square, [], 2, lost)) == []


def test_an_error_of_the_work_is_raised() -> None:
    with pytest.raises(TypeError):
        dict(spread(square, [("a", "b")], 1, lost))


def test_a_script_that_cannot_be_imported_again_is_told(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("from medmamba.data.check.pool import spread\nprint(list(spread(abs, [(1,)], 1, None)))\n")
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode and "SetupError: No worker process can be started" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, time\nfrom medmamba.data.check.pool import spread\n"
        "if __name__ == '__main__':\n"
        "    for place, worker in spread(os.getpid, [()], 1, None):\n"
        "        print(worker, flush=True)\n"
        "        time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        worker = Path(f"/proc/{int(parent.stdout.readline())}")
        assert worker.exists()
        parent.kill()
    deadline = time.monotonic() + 30
    while worker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not worker.exists()
