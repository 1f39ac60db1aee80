import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.nnunet.conftest import write_dataset
from tests.nnunet.small_runs import PLAIN


def test_a_card_without_files_says_where_they_belong(run: Any) -> None:
    result = run("preprocess", "--dataset", "Hippocampus")
    assert result.exit_code == 4
    assert "Dataset004_..." in result.stderr and "nnUNet_raw" in result.stderr


def test_memory_without_a_network_is_refused(run: Any) -> None:
    result = run("preprocess", "--dataset", "Hippocampus", "--vram", "24")
    assert result.exit_code == 2
    assert "--vram plans a network" in result.stderr


def test_the_plan_as_a_table_and_as_json(run: Any, tmp_path: Path) -> None:
    write_dataset(tmp_path / "medmamba_data/nnUNet_raw", PLAIN)
    arguments = ("preprocess", "--dataset", PLAIN, "--net", "umamba-bot", "--preset", "small", "--config", "3d_fullres")
    result = run(*arguments, "--processes", 1)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert max(map(len, lines[:-2])) <= 80
    assert "planned for" in lines[0] and "this machine's free memory" in lines[0]
    for name in ("patch", "batch", "stages", "parameters", "memory, GB", "a step", "an epoch"):
        assert any(line.strip().startswith(name) for line in lines)
    content = json.loads(run(*arguments, "--vram", 8, "--json").stdout)
    assert content["budget"]["asked_for"] == 8
    configuration = content["configurations"]["3d_fullres"]
    assert configuration["fits"]
    assert configuration["gigabytes"] < 8
    assert (configuration["seconds_per_step"] is None) == ("GPU, and this machine has none" in configuration["timing"])


_WITH_A_WORKER = """
import multiprocessing, time
from medmamba.cli.preprocess import _leaving_at_once
with _leaving_at_once():
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    worker.start()
    print(worker.pid, flush=True)
    worker.join()
"""


def test_an_interrupt_leaves_no_worker_behind() -> None:
    with subprocess.Popen([sys.executable, "-c", _WITH_A_WORKER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    end = time.monotonic() + 10
    while _runs(worker):
        assert time.monotonic() < end
        time.sleep(0.05)


def _runs(process: int) -> bool:
    """Whether a process is there and not only waiting to be collected."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
