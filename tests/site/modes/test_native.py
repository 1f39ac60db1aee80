import json
import signal
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.site.work import Work
from tests.predict.made_images import save_series
from tests.site.made import Container, files, image


def test_names_folders_and_dicom_side_by_side(mounted: Container) -> None:
    given, out = mounted.root / "input", mounted.root / "output"
    image(given / "cases" / "first" / "CT.nii.gz")
    image(given / "cases" / "second_0000.mha")
    save_series(given / "cases" / "third", np.zeros((14, 12, 10), np.int16) + np.arange(10, dtype=np.int16))
    ran = mounted()
    assert ran.code == 0, ran.err
    assert files(out) == [
        "log.jsonl", "predictions/first.nii.gz", "predictions/second.nii.gz", "predictions/third.nii.gz",
        "report.html", "run.json",
    ]  # fmt: skip
    image_in = sitk.ReadImage(str(given / "cases" / "second_0000.mha"))
    image_out = sitk.ReadImage(str(out / "predictions" / "second.nii.gz"))
    assert np.allclose(image_in.GetOrigin(), image_out.GetOrigin()) and image_in.GetSize() == image_out.GetSize()
    header = nibabel.load(out / "predictions" / "second.nii.gz").header
    assert not any(bytes(header["aux_file"]) + bytes(header["db_name"]))
    record = json.loads((out / "run.json").read_text())
    assert record["counts"] == {"cases": 3, "ok": 3, "failed": 0, "left": 0} and record["exit_code"] == 0
    assert {len(case["case"]) for case in record["cases"]} == {12}
    assert record["cases"][0]["shape"] == [10, 12, 14] and record["cases"][0]["spacing"] == [1.0, 0.8, 0.7]
    assert (out / "log.jsonl").read_text().splitlines()[:-1] == ran.out.splitlines()[:-1]


def test_a_bad_case_fails_alone(mounted: Container) -> None:
    given, out = mounted.root / "input", mounted.root / "output"
    image(given / "good_0000.nii.gz")
    cut = image(given / "cut_0000.nii.gz")
    cut.write_bytes(cut.read_bytes()[:2000])
    (given / "empty").mkdir()
    checked = mounted("check")
    assert checked.code == 3 and not out.exists()
    assert sorted(checked.faults) == ["not-a-file", "truncated"]
    assert "Truncated file. Copy or download" in checked.out
    ran = mounted("infer", "--names-in-report", "--private-list")
    assert ran.code == 6 and sorted(ran.faults) == ["not-a-file", "truncated"]
    assert files(out) == ["log.jsonl", "predictions/good.nii.gz", "private/cases.csv", "run.json"]
    private = out / "private" / "cases.csv"
    assert private.stat().st_mode & 0o777 == 0o600
    named = {case["case"]: case["name"] for case in json.loads((out / "run.json").read_text())["cases"]}
    assert sorted(private.read_text().split()) == sorted(["pseudonym,case", *(f"{k},{v}" for k, v in named.items())])
    assert ran.fields("finished")[0] | {"seconds": 0} == {
        "exit_code": 6, "written": 1, "failed": 2, "left": 0, "seconds": 0,
    }  # fmt: skip


def test_nothing_usable_is_invalid_input_or_too_little_memory(mounted: Container) -> None:
    assert (mounted().code, mounted("check").code) == (3, 3)
    (mounted.root / "input").mkdir()
    assert mounted().faults == ["no-images"]
    image(mounted.root / "input" / "a_0000.nii.gz", shape=(40, 40, 40))
    ran = mounted("--max-ram", "5M")
    assert (ran.code, ran.faults) == (4, ["memory"])
    assert mounted("check", "--max-ram", "5M").code == 4
    assert files(mounted.root / "output") == ["log.jsonl", "run.json"]


def test_a_run_is_gone_on_with(mounted: Container, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef")
    for name in ("a", "b"):
        image(mounted.root / "input" / f"{name}_0000.nii.gz")
    first = mounted("--site-key", key)
    (mounted.root / "output" / "predictions" / "b.nii.gz").unlink()
    again = mounted("--site-key", key, "--resume")
    assert (again.code, len(again.fields("case_kept")), len(again.fields("case_written"))) == (0, 1, 1)
    names = [[one["case"] for one in ran.events if one["event"] == "case_written"] for ran in (first, again)]
    assert names[0][1:] == names[1]
    other = mounted("--site-key", key, "--resume", cpu=("--device=cpu", "--precision=bf16", "--fast"))
    assert len(other.fields("case_written")) == 2
    assert mounted("--resume").code == 2


def test_a_stopped_run_says_what_is_left(mounted: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        image(mounted.root / "input" / f"{name}_0000.nii.gz", shape=(30, 30, 30))
    look = Work._look_for_stop

    def stop(work: Work, done: int, total: int) -> None:
        if (mounted.root / "output" / "predictions" / "a.nii.gz").exists():
            signal.raise_signal(signal.SIGTERM)
        look(work, done, total)

    monkeypatch.setattr(Work, "_look_for_stop", stop)
    ran = mounted()
    assert ran.code == 6 and ran.fields("stop_asked") == [{"signal": "SIGTERM"}]
    counts = {name: ran.fields("finished")[0][name] for name in ("written", "failed", "left")}
    assert counts == {"written": 1, "failed": 0, "left": 2}
    assert files(mounted.root / "output") == ["log.jsonl", "predictions/a.nii.gz", "run.json"]  # no page after that
