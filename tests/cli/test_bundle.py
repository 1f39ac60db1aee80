import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.bundle.made import results_folder


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results_folder(tmp_path_factory.mktemp("results"), folds=(0,))


@pytest.fixture(scope="module")
def archive(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from typer.testing import CliRunner

    from medmamba.cli import app

    target = tmp_path_factory.mktemp("bundles") / "model.tar"
    said = ["--name", "[bold]Blobs[/bold]", "--intended", "MR brain", "--training-data", "A (CC0)", "--version", "2"]
    result = CliRunner().invoke(app, ["bundle", "export", "--model", str(results), "--out", str(target), *said])
    assert result.exit_code == 0, result.output
    return target


def test_export_tells_the_digest(run: Any, archive: Path) -> None:
    found = json.loads(run("bundle", "inspect", archive, "--json").stdout)
    assert (found["name"], found["version"], found["intended"]) == ("[bold]Blobs[/bold]", "2", "MR brain")
    assert found["training_data"] == ["A (CC0)"]
    shown = run("bundle", "inspect", archive)
    assert shown.exit_code == 0
    assert "[bold]Blobs[/bold], version 2" in shown.stdout


def test_verify(run: Any, archive: Path) -> None:
    digest = json.loads(run("bundle", "inspect", archive, "--json").stdout)["digest"]
    good = run("bundle", "verify", archive, "--expect", digest, "--self-test", "--device", "cpu")
    assert good.exit_code == 0, good.output
    assert "Signature: not signed" in good.stdout and "Self-test: " in good.stdout
    assert json.loads(run("bundle", "verify", archive, "--json").stdout)["verified"] is True


def test_a_refused_bundle_is_exit_code_5(run: Any, archive: Path, tmp_path: Path) -> None:
    raw = bytearray(archive.read_bytes())
    raw[raw.index(b'"MR0"') + 1] ^= 1
    (tmp_path / "spoilt.tar").write_bytes(raw)
    for command in ("verify", "inspect"):
        result = run("bundle", command, tmp_path / "spoilt.tar")
        assert result.exit_code == 5
        assert "was altered" in result.stderr
    assert run("bundle", "verify", archive, "--expect", "sha256:" + "0" * 64).exit_code == 5
    assert run("bundle", "verify", archive, "--expect", "sha256:0").exit_code == 2


def test_signed_with_a_shared_secret(run: Any, results: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s" * 32)
    key = ("--hmac-key", tmp_path / "secret")
    made = run("bundle", "export", "--model", results, "--out", tmp_path / "a", "--no-self-test", *key)
    assert made.exit_code == 0, made.output
    assert "checked with" in run("bundle", "verify", tmp_path / "a", *key).stdout
    (tmp_path / "secret").write_bytes(b"t" * 32)
    assert run("bundle", "verify", tmp_path / "a", *key).exit_code == 5


def test_import_of_a_results_folder(run: Any, results: Path, tmp_path: Path) -> None:
    result = run("bundle", "import", results, "--out", tmp_path / "a.tar", "--no-self-test")
    assert result.exit_code == 0, result.output
    assert run("bundle", "verify", tmp_path / "a.tar").exit_code == 0


def test_import_asks_what_it_does_not_know(run: Any, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"")
    assert run("bundle", "import", tmp_path / "model.pt", "--out", tmp_path / "a.tar").exit_code == 2
    plans = ("--upstream", "SegMamba", "--plans", tmp_path / "plans.json")
    result = run("bundle", "import", tmp_path / "model.pt", "--out", tmp_path / "a.tar", *plans)
    assert result.exit_code == 2 and "--dataset-json" in result.stderr


def test_a_model_that_is_not_there(run: Any, tmp_path: Path) -> None:
    result = run("bundle", "export", "--model", tmp_path, "--out", tmp_path / "a.tar")
    assert result.exit_code == 4 and "holds no model" in result.stderr


def test_what_comes_next_can_be_typed(run: Any, results: Path, tmp_path: Path) -> None:
    made = run("bundle", "export", "--model", results, "--out", tmp_path / "my models" / "a.tar", "--no-self-test")
    following = shlex.split(made.stdout.splitlines()[-1].removeprefix("Next:"))
    assert run(*following[1:]).exit_code == 0, following


def test_what_is_no_bundle_is_told_so(run: Any, results: Path, tmp_path: Path) -> None:
    assert "has no MANIFEST.json" in run("bundle", "inspect", results).stderr
    nothing = run("bundle", "import", tmp_path / "gone.pth", "--out", tmp_path / "a.tar")
    assert nothing.exit_code == 4 and "There is no " in nothing.stderr


def test_a_bundle_is_not_exported_again(run: Any, archive: Path, tmp_path: Path) -> None:
    for given in (archive, ""):
        result = run("bundle", "export", "--model", given, "--out", tmp_path / "a.tar")
        assert result.exit_code == 2, result.output
        assert ("is a bundle already" if given else "is empty") in result.stderr


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.TAR", "x.pth"])
def test_other_formats_than_a_folder_and_tar_are_refused(name: str, run: Any, results: Path, tmp_path: Path) -> None:
    result = run("bundle", "export", "--model", results, "--out", tmp_path / name)
    assert result.exit_code == 2 and f"{name} is neither" in result.stderr and "x.tar" in result.stderr
    assert not list(tmp_path.iterdir())
