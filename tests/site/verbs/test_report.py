from pathlib import Path

import numpy as np
import pytest

from tests.site import stand_in
from tests.site.made import Container, files, image, label_map

CANARY = "ZZPHIZZ"


def given(container: Container) -> None:
    """Two cases with labels, one without."""
    for number in range(3):
        image(container.root / "input" / "cases" / f"{CANARY}{number}_0000.nii.gz", number)
        label_map(container.root / "output" / "predictions" / f"{CANARY}{number}.nii.gz", number)
    for number in range(2):
        label_map(container.root / "input" / "labels" / f"{CANARY}{number}.nii.gz", number + 9)


def test_the_page_gets_pseudonyms_alone(mounted: Container) -> None:
    given(mounted)
    stand_in.CALLS.clear()
    (mounted.root / "input" / "labels" / ".DS_Store").touch()
    ran = mounted("report", "--private-list")
    assert ran.code == 0, ran.err
    private = (mounted.root / "output" / "private" / "cases.csv").read_text()
    assert all(f"{CANARY}{number}" in private for number in range(3))
    page = (mounted.root / "output" / "report.html").read_text("utf-8")
    assert CANARY not in page + ran.out + ran.err and str(mounted.root) not in page
    (call,) = stand_in.CALLS
    assert len(call["images"]) == len(call["predictions"]) == 3 and len(call["references"]) == 2
    assert {name.removesuffix("_0000.nii.gz") for name in call["images"]} == set(call["names"])
    assert call["names"] == {name: name for name in call["names"]} and call["model"]
    assert set(call["metrics"]["per_case"]) < set(call["names"]) and len(call["metrics"]["per_case"]) == 2


def test_names_are_the_sites_explicit_choice(mounted: Container) -> None:
    given(mounted)
    assert mounted("report", "--names-in-report").code == 0
    assert f"{CANARY}0_0000.nii.gz" in (mounted.root / "output" / "report.html").read_text("utf-8")


def test_without_labels_there_are_no_scores(mounted: Container) -> None:
    image(mounted.root / "input" / "a_0000.nii.gz")
    stand_in.CALLS.clear()
    assert mounted("report").faults == ["no-prediction"] and stand_in.CALLS == []
    label_map(mounted.root / "output" / "predictions" / "a.nii.gz")
    (mounted.root / "input" / "labels").mkdir()
    assert mounted("report").code == 0
    assert stand_in.CALLS[0]["metrics"] is None and stand_in.CALLS[0]["references"] == {}


def test_an_error_of_the_page_ends_the_run(mounted: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    given(mounted)

    def fail(*anything: object, **more: object) -> None:
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr(stand_in, "write_report", fail)
    ran = mounted("report")
    assert (ran.code, ran.faults[-1:]) == (7, ["internal"]) and CANARY not in ran.out + ran.err


def test_segmentations_are_shown_as_labels(mounted: Container, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    from tests.dicom.made import write_series

    write_series(mounted.root / "input" / "cases" / "a", np.arange(14 * 12 * 10, dtype=np.int16).reshape(14, 12, 10))
    stand_in.CALLS.clear()
    ran = mounted("--output-format", "dicom-seg")
    assert ran.code == 0, ran.err
    assert files(mounted.root / "output") == ["log.jsonl", "predictions/a.dcm", "report.html", "run.json"]
    (call,) = stand_in.CALLS
    assert [name.endswith(".nii.gz") for name in call["predictions"]] == [True]


@pytest.mark.real_report
def test_the_real_page_holds_no_name(mounted: Container) -> None:
    given(mounted)
    ran = mounted("report")
    assert ran.code == 0, (ran.err, ran.out)
    page = (mounted.root / "output" / "report.html").read_text("utf-8")
    assert CANARY not in page and str(mounted.root) not in page
    scored = [event["case"] for event in ran.events if event["event"] == "case_scored"]
    assert len(scored) == 2 and all(pseudonym in page for pseudonym in scored)
