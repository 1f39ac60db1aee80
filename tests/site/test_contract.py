"""The contract with hospitals, in each of the five modes, in a process that is watched: three cases, and what is left.

The process has a user without a name, no home, / as its folder, no USER and a PATH of two folders. It may write to the
outputs and among temporary files, open no socket, start no process and unpickle nothing.
"""

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.predict.made_images import save_series
from tests.site.driver import CANARY, NOBODY, Ran, as_nobody, open_root, start, tells
from tests.site.made import BRATS, files, image, jobs, label_map, sockets

FAST = ("--device=cpu", "--precision=fp32", "--fast")


@pytest.fixture
def root() -> Iterator[Path]:
    """A container's root that every user may enter."""
    with open_root() as place:
        yield place


def mount(bundle: Path, place: Path) -> None:
    """A bundle that every user may read."""
    shutil.copytree(bundle, place)
    for path in (place, *place.iterdir()):
        path.chmod(0o755)


def volume(folder: Path) -> Path:
    """An output that every user may write to."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    return folder


def expect_nothing_told(ran: Ran, *folders: Path) -> None:
    """Neither streams nor the content of outputs have the canary; the name of an output may."""
    assert CANARY not in ran.out + ran.err and ran.err.strip() == ""
    for folder in folders:
        assert [name for name in files(folder) if tells(folder / name)] == []


def test_native(root: Path, one_channel: Path) -> None:
    mount(one_channel, root / "model")
    given = root / "input"
    names = [f"{CANARY}{number}" for number in range(3)]
    image(given / "cases" / names[0] / "CT.nii.gz")
    image(given / "cases" / f"{names[1]}_0000.mha", 1)
    save_series(given / "cases" / names[2], np.arange(1680, dtype=np.int16).reshape(14, 12, 10))
    for seed, name in enumerate(names[:2]):
        label_map(given / "labels" / f"{name}.nii.gz", seed)
    calls = [("describe",), ("check", *FAST), ("selftest", *FAST), ("run", *FAST), ("prepare",), ("statistics",)]
    ran = start(root, calls=calls)
    assert ran.code == 0, ran.err
    out = root / "output"
    made = [f"predictions/{name}.nii.gz" for name in names]
    prepared = [name for name in files(out) if name.startswith("prepared/")]
    rest = [name for name in files(out) if name not in prepared]
    assert rest == ["log.jsonl", *made, "report.html", "report.json", "run.json", "statistics.yaml"]
    assert len(prepared) == 5 and sum(name.startswith("prepared/labels/") for name in prepared) == 2
    assert CANARY not in "".join(prepared)
    expect_nothing_told(ran, out)
    told = "".join((out / name).read_text("utf-8") for name in rest if not name.endswith(".gz"))
    told = re.sub(r"base64,[A-Za-z0-9+/=]+", "", told)  # in pictures any short word may stand by chance
    assert str(root) not in told and "1.2.3.4" not in told
    assert re.search(rf"\b{re.escape(os.uname().nodename)}\b", told) is None
    assert files(root / "tmp") == []


def test_grand_challenge(root: Path, one_channel: Path) -> None:
    mount(one_channel, root / "opt" / "ml" / "model")
    places = []
    for number in range(3):  # one case a run
        given, out = root / f"input{number}", volume(root / f"output{number}")
        sockets(given, {"ct": f"{CANARY}{number}"})
        places.append((f"--input={given}", f"--output={out}", *FAST))
        shutil.copytree(out, root / "empty", dirs_exist_ok=True)
    truth, scores = root / "truth", volume(root / "scores")
    for number in range(3):
        label_map(truth / f"{CANARY}{number}.mha", number)
        label_map(root / "jobs" / f"pk{number}" / "output" / "images" / "segmentation" / "output.mha", number + 3)
    jobs(root / "jobs", {f"{CANARY}{number}.mha": f"pk{number}" for number in range(3)})
    evaluation = ("run", f"--input={root / 'jobs'}", f"--output={scores}", f"--labels={truth}")
    outputs = [root / f"output{number}" for number in range(3)]
    ran = start(root, calls=[*places, evaluation], writable=[*outputs, scores])
    assert ran.code == 0, ran.err
    assert [files(out) for out in outputs] == [["images/segmentation/output.mha"]] * 3
    assert files(scores) == ["metrics.json"] and len(json.loads((scores / "metrics.json").read_text())["results"]) == 3
    expect_nothing_told(ran, *outputs, scores)


def test_medperf(root: Path, one_channel: Path) -> None:
    volumes = root / "mlcommons" / "volumes"
    mount(one_channel, volumes / "additional_files" / "bundle")
    for number in range(3):
        image(volumes / "raw_data" / f"{CANARY}{number}" / "CT.nii.gz", number)
        label_map(volumes / "raw_labels" / f"{CANARY}{number}.nii.gz", number)
    names = ("data", "labels", "predictions", "statistics", "results")
    writable = [volume(volumes / name) for name in names]
    verbs = ("prepare", "sanity_check", "statistics", "infer", "evaluate")
    ran = start(root, calls=[(verb, *FAST) for verb in verbs], writable=writable)
    assert ran.code == 0, ran.err
    stems = [name.removesuffix(".nii.gz") for name in files(volumes / "labels")]
    assert len(stems) == 3 and CANARY not in "".join(stems)
    assert {name: files(volumes / name) for name in names} == {
        "data": [f"{stem}_0000.nii.gz" for stem in stems],
        "labels": [f"{stem}.nii.gz" for stem in stems],
        "predictions": [f"{stem}.nii.gz" for stem in stems],
        "statistics": ["statistics.yaml"],
        "results": ["results.yaml"],
    }
    assert files(root / "output") == files(root / "tmp") == []
    expect_nothing_told(ran, *writable)


@pytest.mark.parametrize("mode", ["brats-mlcube", "brats-2025"])
def test_brats(root: Path, brats_bundle: Path, mode: str) -> None:
    mlcube = mode == "brats-mlcube"
    data, out = (root / "mlcube_io0", volume(root / "mlcube_io2")) if mlcube else (root / "input", root / "output")
    mount(brats_bundle, root / ("mlcube_io1" if mlcube else "model"))
    subjects = [f"{CANARY}-0000{number}-000" for number in range(3)]
    for seed, name in enumerate(subjects):
        for contrast in BRATS:
            image(data / name / f"{name}-{contrast}.nii.gz", seed)
    words = ("infer", f"--data_path={data}", f"--output_path={out}") if mlcube else ("run",)
    ran = start(root, *words, *FAST, writable=[out])
    assert ran.code == 0, ran.err
    assert [one["mode"] for one in ran.fields("mode_chosen")] == [mode]
    assert files(out) == [f"{name}.nii.gz" for name in subjects]
    expect_nothing_told(ran, out)


def test_the_watch_sees_what_is_forbidden(root: Path) -> None:
    """Each of the doors, tried by a process that is watched in the same way."""
    from tests.site import driver

    tries = {
        "socket.connect": "import socket; socket.socket().connect(('127.0.0.1', 9))",
        "subprocess.Popen": "import subprocess; subprocess.run(['true'])",
        "pickle.find_class": "import pickle; pickle.loads(pickle.dumps(ValueError))",
        "open": f"open({str(root / 'elsewhere')!r}, 'w')",
        "os.mkdir": f"import os; os.mkdir({str(root / 'elsewhere2')!r})",
        "os.symlink": f"import os; os.symlink('/', {str(root / 'elsewhere3')!r})",
    }
    watch = driver._GUARDED.partition("from medmamba")[0]
    for event, code in tries.items():
        text = f"{watch}\ntry:\n    exec({code!r})\nexcept Exception:\n    pass\nprint(wrong)\n"
        words = [sys.executable, "-c", text, str(root / "output"), "[]"]
        done = subprocess.run(words, capture_output=True, text=True, check=True, cwd="/")
        assert event in done.stdout, done


@pytest.mark.skipif(not as_nobody(), reason="only root, with setpriv, can become another user")
def test_the_user_has_no_name_and_cannot_write_elsewhere(root: Path) -> None:
    with pytest.raises(KeyError):
        pwd.getpwuid(NOBODY)
    (root / "input").mkdir()
    code = f"import os\nprint(os.getuid())\nopen({str(root / 'input' / 'a')!r}, 'w')"
    done = subprocess.run([*as_nobody(), sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stdout.strip() == str(NOBODY) and "PermissionError" in done.stderr
