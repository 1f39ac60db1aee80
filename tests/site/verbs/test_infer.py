from importlib import import_module
from typing import Any

import numpy as np
import pytest

from tests.site.made import Container, files, image

CANARY = "ZZPHIZZ"


def test_an_error_of_the_program_is_told_by_its_type(mounted: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*anything: Any) -> None:
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr(import_module("medmamba.site.verbs.infer"), "_segment", fail)
    image(mounted.root / "input" / "a_0000.nii.gz")
    ran = mounted()
    assert ran.code == 7 and ran.fields("refused")[0]["error"] == "ZeroDivisionError"
    assert CANARY not in ran.out + ran.err
    assert CANARY in mounted("--debug").err


@pytest.mark.parametrize(
    "words",
    [
        ("--resume",),
        ("--mode", "medperf", "--names-in-report"),
        ("--site-key", "/none"),
        ("--mode", "medperf", "--output-format", "dicom-seg"),
        ("--raw-labels",),
    ],
)
def test_options_that_do_not_go_together(mounted: Container, words: tuple[str, ...]) -> None:
    image(mounted.root / "input" / "a_0000.nii.gz")
    assert mounted(*words).code == 2


def test_an_output_that_cannot_be_written(mounted: Container) -> None:
    image(mounted.root / "input" / "a_0000.nii.gz")
    (mounted.root / "output").touch()
    ran = mounted()
    assert (ran.code, ran.faults) == (4, ["output-not-writable"])


def test_series_give_segmentations_in_the_patients_space(mounted: Container) -> None:
    pytest.importorskip("highdicom")
    from medmamba.dicom.reading import read_segmentation
    from tests.dicom.made import OBLIQUE, lps, write_series

    cases, out = mounted.root / "input" / "cases", mounted.root / "output" / "predictions"
    volume = np.random.default_rng(0).integers(-1000, 1000, (14, 12, 10)).astype(np.int16)
    write_series(cases / "series", volume)
    assert mounted("infer").code == 0
    image(cases / "volume_0000.nii.gz")
    assert mounted("check", "--output-format", "dicom-seg").faults == ["not-a-series"]
    ran = mounted("infer", "--output-format", "dicom-seg")
    assert (ran.code, ran.faults) == (6, ["not-a-series"])
    assert files(out) == ["series.dcm", "series.nii.gz"]
    assert CANARY not in ran.out + ran.err
    import nibabel

    plain = nibabel.load(out / "series.nii.gz")
    found = read_segmentation(out / "series.dcm").on_grid((10, 12, 14), lps(OBLIQUE))
    assert np.array_equal(found, np.asarray(plain.dataobj).T) and found.any()


def test_segmentations_are_scored(mounted: Container) -> None:
    pytest.importorskip("highdicom")
    from tests.dicom.made import write_series

    cases, out = mounted.root / "input" / "cases", mounted.root / "output"
    for number, case in enumerate("abcde"):
        volume = np.random.default_rng(number).integers(-1000, 1000, (14, 12, 10)).astype(np.int16)
        write_series(cases / case, volume)
    assert mounted("infer").code == 0
    (out / "predictions").rename(mounted.root / "input" / "labels")
    ran = mounted("--output-format", "dicom-seg")
    assert ran.code == 0, (ran.err, ran.out)
    import json

    targets = json.loads((out / "report.json").read_text())["targets"]
    told = [one["measures"]["dice"]["mean"] for one in targets.values() if one["measures"]]
    assert told and told == [1.0] * len(told)
