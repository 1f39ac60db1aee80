import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tools.container import __main__ as command
from tools.container import comparing, engine, image, inputs, runs

NOISE = inputs.Source(None)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("inside", "outside"):
        labels = sitk.GetImageFromArray(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
        (tmp_path / name / "predictions").mkdir(parents=True)
        sitk.WriteImage(labels, str(tmp_path / name / "predictions" / "a.nii.gz"))
    return tmp_path / "inside", tmp_path / "outside"


def changed(file: Path, spacing: float = 1.0, voxel: int = 0) -> None:
    labels = sitk.ReadImage(str(file))
    labels.SetSpacing((1.0, 1.0, spacing))
    labels[0, 0, 0] = voxel
    sitk.WriteImage(labels, str(file))


def test_equal_label_maps_are_counted(pair: tuple[Path, Path]) -> None:
    assert comparing.faults(*pair, pseudonyms=False) == (1, [])


@pytest.mark.parametrize("change", [{"spacing": 2.0}, {"voxel": 1}])
def test_one_voxel_or_the_place_makes_a_difference(pair: tuple[Path, Path], change: dict[str, int]) -> None:
    changed(pair[0] / "predictions" / "a.nii.gz", **change)
    assert comparing.faults(*pair, pseudonyms=False) == (0, ["1 of 1 label maps differ"])


def test_a_missing_file_is_found(pair: tuple[Path, Path]) -> None:
    (pair[0] / "run.json").touch()
    _, wrong = comparing.faults(*pair, pseudonyms=False)
    assert len(wrong) == 1 and "run.json" in wrong[0]


def test_under_pseudonyms_names_do_not_count_but_content_does(pair: tuple[Path, Path]) -> None:
    file = pair[0] / "predictions" / "a.nii.gz"
    file = file.rename(file.with_name("b.nii.gz"))
    assert comparing.faults(*pair, pseudonyms=True) == (1, [])
    changed(file, voxel=1)
    assert comparing.faults(*pair, pseudonyms=True)[0] == 0


def test_scores_have_to_be_the_same(pair: tuple[Path, Path]) -> None:
    for folder, text in zip(pair, "ab", strict=True):
        (folder / "report.json").write_text(text)
    assert comparing.faults(*pair, pseudonyms=False)[1] == ["report.json differs"]


def test_a_told_name_is_found(pair: tuple[Path, Path]) -> None:
    assert not comparing.tells_names(pair[0], "all is well")
    assert comparing.tells_names(pair[0], f"cannot read {inputs.CANARY}")
    (pair[0] / "log.jsonl").write_text(json.dumps(inputs.CANARY))
    assert comparing.tells_names(pair[0], "")


def test_names_of_label_maps_are_the_sites_own(pair: tuple[Path, Path]) -> None:
    file = pair[0] / "predictions" / "a.nii.gz"
    file.rename(file.with_name(f"{inputs.CANARY}.nii.gz"))
    assert not comparing.tells_names(pair[0], "")


@pytest.mark.parametrize("run", [run for run in runs.RUNS if run.fill is not inputs.dicom], ids=lambda run: run.name)
def test_every_run_finds_its_inputs(run: runs.Run, tmp_path: Path) -> None:
    count = run.fill(tmp_path, NOISE)
    assert (tmp_path / run.places[0]).is_dir()
    assert bool(count) == any(path.is_file() for path in tmp_path.rglob("*"))


def test_real_cases_fill_every_run(shared_data: Path, tmp_path: Path) -> None:
    source = inputs.Source(shared_data)
    for run in runs.RUNS:
        run.fill(tmp_path / run.name, source)
    series = [path for path in (tmp_path / "DICOM series" / "input").iterdir() if path.is_dir()]
    assert len(series) == 2 and all(any(path.glob("*.dcm")) for path in series)


def test_what_the_image_cannot_do_is_left_out() -> None:
    chosen, left = runs.those_of(("run", "infer"), "--device", NOISE)
    assert not any(run.verb or run.option or run.fill is inputs.dicom for run in chosen)
    assert len(chosen) + len(left) == len(runs.RUNS)
    assert "medperf evaluate: the image has no verb evaluate" in left


def test_where_a_run_writes() -> None:
    run = runs.Run("", (), places=("in", "out", "model"), also=("a", "b:rw", "c/d.yaml:file"))
    assert run.written == {"out": "", "b": "", "c/d.yaml": "file"}


def test_a_tampered_bundle_differs_in_one_byte(tmp_path: Path) -> None:
    file = tmp_path / "bundle" / "fold_0.safetensors"
    file.parent.mkdir()
    file.write_bytes(bytes(100))
    spoil = next(run.spoil for run in runs.RUNS if run.spoil)
    spoil(tmp_path)
    assert sum(byte != 0 for byte in file.read_bytes()) == 1


def test_settings_of_pip_are_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "0")
    settings = image.pip_settings()
    assert settings["PIP_FIND_LINKS"] == str(tmp_path / "wheels")
    assert set(settings) <= set(image.PIP)
    assert str(tmp_path / "wheels") in image.local_paths(settings)


def test_without_an_engine_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "1")
    assert command.main(["--storage", str(tmp_path)]) == 0
    assert "docker is not installed; podman is not installed" in capsys.readouterr().out
    monkeypatch.delenv("CI")
    assert command.main(["--storage", str(tmp_path)]) == 1


def program(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_an_engine_that_does_not_answer_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "docker", "exit 1")
    podman = program(tmp_path, "podman", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    found = engine.find(None, tmp_path / "storage", None, None)
    assert isinstance(found, engine.Engine)
    assert found.name == "podman" and found.command[0] == podman
    assert str(tmp_path / "storage" / "images") in found.command


def test_the_first_way_in_which_a_container_starts_is_taken(tmp_path: Path) -> None:
    podman = program(tmp_path, "podman", 'case "$*" in *nofile*) exit 0 ;; esac; echo limits >&2; exit 1')
    tried = engine.starting(engine.Engine((podman,)), "image")
    assert "nofile=4096:4096" in tried.run_options
    with pytest.raises(SystemExit, match="limits"):
        engine.starting(engine.Engine((podman,), run_options=("--mine",)), "image")


def test_the_table_names_what_is_wrong() -> None:
    run = {"name": "native", "good": False, "seconds": 3.0, "first_line": 0.5, "cases": 2, "equal": 1}
    report = {
        "runs": [{**run, "faults": ["one label map differs"]}],
        "left_out": [],
        "confined": {},
        "faults": ["writable is ['/']"],
        "image": "medmamba:1",
        "megabytes": 1700,
        "start_seconds": 0.5,
    }
    text = command.table(report)
    assert "WRONG" in text and "one label map differs" in text and "writable is ['/']" in text
