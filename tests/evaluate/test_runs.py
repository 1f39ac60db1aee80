import json
from pathlib import Path

import pytest

from medmamba.errors import ConfigError, DataError
from medmamba.evaluate.runs import OVERALL, check_comparable, read_method, read_run
from tests.evaluate.made_labels import run_folder


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return run_folder(tmp_path / "seed_0", 3, 0.2, 0), run_folder(tmp_path / "seed_1", 3, 0.2, 1)


def test_names_lists_and_patterns(two: tuple[Path, Path], tmp_path: Path) -> None:
    assert read_method(str(two[0])).name == "seed_0" == read_method(str(two[0] / "metrics.json")).name
    for text in (f"mine={two[0]},{two[1]}", f"mine={tmp_path}/seed_*"):
        method = read_method(text)
        assert (method.name, len(method.runs), method.repeats) == ("mine", 2, "seeds")
    assert len(read_method(f"{two[0]},{two[0]}").runs) == 1


def test_a_case_of_two_seeds_counts_with_its_mean(two: tuple[Path, Path]) -> None:
    method = read_method(f"a={two[0]},{two[1]}")
    values = [run.value("c00", "one", "dice") for run in method.runs]
    assert values[0] != values[1] and None not in values
    assert method.value("c00", "one", "dice") == pytest.approx(sum(values) / 2)  # type: ignore[arg-type]
    run = method.runs[0]
    targets = [run.value("c00", name, "dice") for name in ("one", "two")]
    assert run.value("c00", OVERALL, "dice") == pytest.approx(sum(targets) / 2)  # type: ignore[arg-type]


def test_folds_share_no_case(two: tuple[Path, Path], tmp_path: Path) -> None:
    other = run_folder(tmp_path / "fold_1", 2, 0.2, first=3)
    method = read_method(f"a={two[0]},{other}")
    assert (method.repeats, len(method.cases)) == ("folds", 5)
    assert read_method(f"a={two[0]},{two[1]},{other}").repeats == "mixed"


def test_what_is_no_evaluation_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names no evaluation"):
        read_method(f"a={tmp_path}/none_*")
    with pytest.raises(DataError, match="does not exist"):
        read_run(tmp_path)
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(ConfigError, match="is no evaluation"):
        read_run(tmp_path)
    content = json.loads((two[0] / "metrics.json").read_text())
    del content["per_case"]
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="lacks parts"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        (("targets", "one", "nsd_tolerance_mm"), 3, "tolerances"),
        (("lesion_rules",), {"dilation": 1}, "lesions"),
        (("per_case", "c01", "two", "reference_voxels"), 1, "reference voxels"),
    ],
)
def test_runs_that_were_not_scored_alike_are_not_compared(
    two: tuple[Path, Path], key: tuple[str, ...], value: object, match: str
) -> None:
    path = two[1] / "metrics.json"
    content = part = json.loads(path.read_text())
    for name in key[:-1]:
        part = part[name]
    part[key[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=match) as caught:
        check_comparable([read_method(str(one)) for one in two])
    assert str(path) in caught.value.problem


def test_failed_cases_are_mentioned(two: tuple[Path, Path]) -> None:
    assert check_comparable([read_method(str(two[0]))]) == []
    content = json.loads((two[1] / "metrics.json").read_text())
    content["failures"] = {"c09": "it is damaged"}
    (two[1] / "metrics.json").write_text(json.dumps(content))
    assert "1 cases could not be scored" in check_comparable([read_method(str(one)) for one in two])[0]
