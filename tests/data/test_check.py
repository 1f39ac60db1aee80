import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medmamba.data.check import check, require_sound
from medmamba.data.findings import KINDS, CheckReport
from medmamba.errors import DataError

from tests.data import bad


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return bad.write_sound(tmp_path / "Dataset950_Sound")


def kinds(report: CheckReport) -> list[str]:
    return [finding.kind for finding in report.findings]


def test_a_sound_dataset_gives_nothing(sound: Path) -> None:
    report = check(sound, 0)
    assert kinds(report) == [] and report.exit_code == 0
    assert (report.training, report.test, report.files) == (5, 2, 21)


@pytest.mark.parametrize("name", bad.BAD)
def test_each_damage_gives_its_own_finding_and_no_other(sound: Path, name: str) -> None:
    kind, damage = bad.BAD[name]
    damage(sound)
    report = check(sound, 0)
    assert set(kinds(report)) == {kind}, [(finding.kind, finding.text) for finding in report.findings]
    finding = report.findings[0]
    assert finding.text and finding.remedy
    assert report.exit_code == (4 if KINDS[kind].severity == "error" else 0)
