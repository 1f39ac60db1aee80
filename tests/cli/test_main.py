import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import medmamba
from medmamba.errors import DataError

ROOT = Path(__file__).parent.parent.parent
COMMANDS = ("preprocess", "train", "predict", "evaluate", "compare", "nets", "doctor", "env", "demo")


def test_version(run: Any) -> None:
    assert run("--version").stdout == f"medmamba {medmamba.__version__}\n"


@pytest.mark.parametrize("command", [*COMMANDS, "datasets list", "datasets show", "datasets clips"])
def test_help_shows_an_example(run: Any, command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout and ("medmamba" in result.stdout.split("Example")[1])


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom medmamba.cli import app\n"
        "try: app(['--help'], prog_name='medmamba')\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'pydantic', 'nnunetv2', 'SimpleITK'} & set(sys.modules)))"
    )
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - started)
        assert done.stdout.splitlines()[-1] == "[]"
    assert all(command in done.stdout for command in COMMANDS)
    assert min(seconds) < 0.5


def test_a_checkout_runs_uninstalled() -> None:
    done = subprocess.run([sys.executable, "-m", "medmamba.cli", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("medmamba ")


def test_an_error_is_a_sentence_and_a_remedy(run: Any) -> None:
    result = run("datasets", "show", "Nothing")
    assert result.exit_code == DataError.exit_code
    assert result.stderr.splitlines()[0] == "There is no dataset card 'Nothing'."
    assert "Hippocampus" in result.stderr.splitlines()[1]
    assert "Traceback" not in result.output


def test_debug_shows_the_traceback(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDMAMBA_DEBUG", "1")
    result = run("datasets", "show", "Nothing")
    assert result.exit_code == DataError.exit_code
    assert "Traceback" in result.stderr


@pytest.mark.parametrize(("command", "taken"), [("predict", True), ("bundle", True), ("train", False), ("demo", False)])
def test_large_pages_are_for_networks_that_run_forward(
    command: str, taken: bool, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What training takes is foretold for small pages, see tests/networks/test_footprint.py."""
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "1")
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")
    run(command, "--help")
    assert ("THP_MEM_ALLOC_ENABLE" in os.environ) == taken


def test_interrupt_is_130(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medmamba.data.cards.cards", interrupted)
    assert run("datasets", "list").exit_code == 130
