import json
from pathlib import Path

from medmamba.predict.batch.report import FINISHED, CaseReport, Report, recorded, software


def test_a_report_goes_through_json(tmp_path: Path) -> None:
    report = Report({"digest": "d"}, {"roi": (1, 2)}, {}, 3)
    report.add(CaseReport("a", "done", "a.nii.gz", {"network": 1.0}, 5, None, (1, 2), ("odd",)))
    report.add(CaseReport("b", "failed", error="bad"))
    content = json.loads(json.dumps(report.as_json()))
    assert content["totals"] | {"seconds": 0} == {
        "cases": 3, "done": 1, "kept": 0, "failed": 1, "left": 1, "seconds": 0, "peak_memory": 5,
    }  # fmt: skip
    assert [CaseReport.from_json(case) for case in content["cases"]] == list(report.cases.values())


def test_what_reports_say_of_a_folder(tmp_path: Path) -> None:
    model, settings = {"digest": "d"}, {"roi": (1, 2)}
    assert recorded(tmp_path, model, settings) is None
    report = Report(model, settings)
    report.add(CaseReport("a", "done"))
    report.add(CaseReport("b", "failed"))
    (tmp_path / "predict_report.json").write_text(json.dumps(report.as_json()))
    (tmp_path / "predict_report_part0of2.json").write_text("{half")
    (tmp_path / "predict_report_part1of2.json").write_text('{"model": 3}')
    assert set(recorded(tmp_path, model, settings) or {}) == {"a"}
    assert recorded(tmp_path, {"digest": "other"}, settings) == {}
    assert recorded(tmp_path, model, {"roi": None}) == {}


def test_earlier_cases_stay_until_the_batch_is_finished() -> None:
    report = Report({}, {}, before={"a": CaseReport("a", "done"), "b": CaseReport("b", "done")})
    report.add(CaseReport("a", "kept"))
    assert [(case["case"], case["status"]) for case in report.as_json()["cases"]] == [("a", "kept"), ("b", "done")]
    report.ended = FINISHED
    assert len(report.as_json()["cases"]) == 1


def test_versions() -> None:
    assert {"medmamba", "python", "torch", "nnunetv2"} <= set(software())
