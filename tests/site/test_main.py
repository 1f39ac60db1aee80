"""The container as a platform starts it: a user without name or home, two folders to write to, no network."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site.driver import CANARY, give_images, open_root, start, tells
from tests.site.made import files, subjects


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A container's root that every user may enter."""
    with open_root() as place:
        yield place


def test_a_hospital_run_tells_nothing(root: Path, one_channel: Path) -> None:
    shutil.copytree(one_channel, root / "model")
    for path in (root / "model", *(root / "model").iterdir()):
        path.chmod(0o755)
    give_images(root / "input")
    ran = start(root, "--private-list", "--device=cpu", "--fast", "--precision=fp32")
    assert ran.code == 6, ran.err
    assert [event["event"] for event in ran.events][-1] == "finished"
    assert sorted(ran.faults) == sorted(["truncated", "not-finite", "not-gzip", "not-an-image", "dicom-missing-slices"])
    out = root / "output"
    made = [f"predictions/{CANARY}{number}.nii.gz" for number in (1, 6)]
    assert files(out) == ["log.jsonl", *made, "private/cases.csv", "report.html", "run.json"]
    assert [name for name in files(out) if tells(out / name)] == ["private/cases.csv"]
    assert CANARY not in ran.out + ran.err and not ran.err.strip()
    record = json.loads((out / "run.json").read_text())
    told = (out / "run.json").read_text() + (out / "log.jsonl").read_text()
    assert str(root) not in told and os.uname().nodename not in told and "1.2.3.4" not in told
    assert record["argv"] == ["run", "--private-list", "--device", "--fast", "--precision"]
    assert record["counts"] == {"cases": 7, "ok": 2, "failed": 5, "left": 0}
    assert files(root / "tmp") == []


def test_a_challenge_run_of_the_plain_module(root: Path, brats_bundle: Path) -> None:
    shutil.rmtree(root / "output", ignore_errors=True)
    (root / "output").mkdir()
    (root / "output").chmod(0o777)
    shutil.copytree(brats_bundle, root / "weights")
    for path in (root / "weights", *(root / "weights").iterdir()):
        path.chmod(0o755)
    (names,) = [subjects(root / "subjects", 1)]
    given = {"MEDMAMBA_SITE_BUNDLE": root / "weights", "MEDMAMBA_SITE_DATA": root / "subjects"}
    more = {
        "MEDMAMBA_SITE_DEVICE": "cpu",
        "MEDMAMBA_SITE_FAST": "1",
        **{name: str(path) for name, path in given.items()},
    }
    ran = start(root, guarded=False, **more)
    assert ran.code == 0, ran.err
    assert files(root / "output") == [f"{names[0]}.nii.gz"] and names[0] not in ran.out and ran.err == ""
    assert start(root, "--mode", CANARY, guarded=False).code == 2
