import json
import signal

import pytest

from medmamba.site.exits import ExitCode
from medmamba.site.modes.native import Native
from medmamba.site.verbs import BY_NAME
from medmamba.site.verbs.run import run
from tests.site import stand_in
from tests.site.made import Container, files, image, label_map


def test_labels_are_scored_where_they_are(mounted: Container) -> None:
    for seed, case in enumerate("abc"):
        image(mounted.root / "input" / "cases" / f"{case}_0000.nii.gz", seed)
        label_map(mounted.root / "input" / "labels" / f"{case}.nii.gz", seed)
    stand_in.CALLS.clear()
    ran = mounted()
    assert ran.code == 0, ran.err
    made = [f"predictions/{case}.nii.gz" for case in "abc"]
    assert files(mounted.root / "output") == ["log.jsonl", *made, "report.html", "report.json", "run.json"]
    assert len(ran.fields("started")) == len(ran.fields("bundle_accepted")) == len(ran.fields("cases_found")) == 1
    assert [one["file"] for one in ran.fields("file_written")] == ["report.json", "report.html"]
    assert len(stand_in.CALLS) == 1 and stand_in.CALLS[0]["metrics"]["cases"] == 3
    assert ran.fields("finished")[0]["written"] == 3


def test_reports_of_an_earlier_run_do_not_outlive_its_label_maps(mounted: Container) -> None:
    image(mounted.root / "input" / "cases" / "a_0000.nii.gz")
    (mounted.root / "output").mkdir(exist_ok=True)
    for name in ("report.json", "report.html"):
        (mounted.root / "output" / name).write_text("old")
    label_map(mounted.root / "input" / "labels" / "a.nii.gz", values=(0, 9))  # nothing can be scored
    assert mounted().code == 3
    assert files(mounted.root / "output") == ["log.jsonl", "predictions/a.nii.gz", "run.json"]


def test_a_failed_case_is_scored_as_worst(mounted: Container) -> None:
    for seed, case in enumerate("abcdef"):
        path = image(mounted.root / "input" / "cases" / f"{case}_0000.nii.gz", seed)
        label_map(mounted.root / "input" / "labels" / f"{case}.nii.gz", seed)
    path.write_bytes(b"nothing")
    ran = mounted()
    assert ran.code == 6 and sorted(ran.faults) == ["no-prediction", "not-gzip"]
    report = json.loads((mounted.root / "output" / "report.json").read_text())
    assert (report["cases"], report["failed"]) == (6, "fewer than 5")
    record = json.loads((mounted.root / "output" / "run.json").read_text())
    assert record["exit_code"] == 6 and ran.fields("finished")[0]["failed"] == 1


def test_the_record_tells_how_the_whole_run_ended(mounted: Container) -> None:
    image(mounted.root / "input" / "cases" / "a_0000.nii.gz")
    label_map(mounted.root / "input" / "labels" / "a.nii.gz", values=(0, 9))
    ran = mounted()
    assert (ran.code, ran.faults) == (3, ["pair-values", "no-predictions"])
    record = json.loads((mounted.root / "output" / "run.json").read_text())
    assert record["exit_code"] == 3 and record["counts"]["ok"] == 1


@pytest.mark.parametrize(
    ("codes", "done", "ends"),
    [((0, 6, 0), 3, 6), ((6, 0, 0), 3, 6), ((0, 3, 0), 2, 3), ((4, 0, 0), 1, 4), ((0, 0, 0), 3, 0)],
)
def test_steps_go_on_as_long_as_there_is_something(
    container: Container, monkeypatch: pytest.MonkeyPatch, codes: tuple[int, ...], done: int, ends: int
) -> None:
    reached = []
    left = iter(codes)

    def step(session: object) -> ExitCode:
        reached.append(session)
        return ExitCode(next(left))

    for name in ("infer", "evaluate", "report"):
        monkeypatch.setitem(BY_NAME, name, step)
    monkeypatch.setattr(Native, "steps", lambda mode: ("infer", "evaluate", "report"))
    assert container().code == ends and len(reached) == done


def test_a_stopped_evaluation_writes_no_scores(mounted: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    for case in "ab":
        label_map(mounted.root / "output" / "predictions" / f"{case}.nii.gz")
        label_map(mounted.root / "input" / "labels" / f"{case}.nii.gz")
    from medmamba.evaluate import case as scoring

    score = scoring.score_case

    def stop(*anything: object) -> object:
        signal.raise_signal(signal.SIGTERM)
        return score(*anything)  # type: ignore[arg-type]

    monkeypatch.setattr(scoring, "score_case", stop)
    ran = mounted("evaluate")
    assert ran.code == 6 and ran.fields("stop_asked") == [{"signal": "SIGTERM"}]
    assert ran.fields("finished")[0]["left"] == 2 and not (mounted.root / "output" / "report.json").exists()


def test_being_asked_to_stop_while_scoring_ends_the_run(mounted: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    for case in "ab":
        image(mounted.root / "input" / "cases" / f"{case}_0000.nii.gz")
        label_map(mounted.root / "input" / "labels" / f"{case}.nii.gz")
    from medmamba.evaluate import case as scoring

    score = scoring.score_case

    def stop(*anything: object) -> object:
        signal.raise_signal(signal.SIGTERM)
        return score(*anything)  # type: ignore[arg-type]

    monkeypatch.setattr(scoring, "score_case", stop)
    ran = mounted()
    assert ran.code == 6 and ran.fields("stop_asked") == [{"signal": "SIGTERM"}]
    assert len(ran.fields("case_scored")) == 1 and not ran.fields("file_written")


def test_label_maps_of_an_earlier_run_stand_for_no_case_of_this_one(mounted: Container) -> None:
    """One case fails now, one is no input any more; both have references, and label maps in the output."""
    inputs, output = mounted.root / "input", mounted.root / "output"
    for seed, case in enumerate("abc"):
        image(inputs / "cases" / f"{case}_0000.nii.gz", seed)
        label_map(inputs / "labels" / f"{case}.nii.gz", seed)
    assert mounted().code == 0
    (inputs / "cases" / "a_0000.nii.gz").write_bytes(b"nothing")
    (inputs / "cases" / "b_0000.nii.gz").unlink()
    stand_in.CALLS.clear()
    ran = mounted("--names-in-report")
    assert ran.code == 6 and sorted(ran.faults) == ["no-prediction", "no-prediction", "not-gzip"]
    assert len(ran.fields("case_scored")) == 1 and list(stand_in.CALLS[0]["predictions"]) == ["c.nii.gz"]
    assert (output / "predictions" / "a.nii.gz").is_file()  # nothing is deleted
    assert len(mounted("evaluate").fields("case_scored")) == 3  # what lies there is scored where that is asked


def test_run_is_a_verb_of_the_same_table() -> None:
    assert BY_NAME["run"].func is run  # type: ignore[attr-defined]
