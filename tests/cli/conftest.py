"""A command line that leaves no trace in this process."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medmamba.cli import app

Run = Callable[..., "object"]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.startswith(("nnUNet", "MEDMAMBA")):
            del os.environ[name]
    monkeypatch.chdir(tmp_path)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def run() -> Run:
    """run("nets", "--json") -> typer's result with exit_code, stdout, stderr."""
    return lambda *arguments: CliRunner().invoke(app, [str(one) for one in arguments])
