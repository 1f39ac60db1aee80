import json
from pathlib import Path

import pytest

from medmamba.errors import ConfigError
from medmamba.site.arguments import parse
from medmamba.site.parameters import PLACES, Parameters, read, with_parameters
from tests.site.made import Container, image, label_map

CANARY = "ZZPHIZZ"


def test_arguments_and_environment_go_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.yml"
    file.write_text("fast: true\nmax_ram: 4G\nmin_cases: 9\ntolerance: 2\nchannels: [T1, T2]\n")
    monkeypatch.setenv("MEDMAMBA_SITE_MAX_RAM", "8G")
    options, keys = with_parameters(parse(["infer", f"--parameters_file={file}", "--min-cases", "7"]))
    assert (options.fast, options.max_ram, options.min_cases, options.tolerance) == (True, "8G", 7, "2")
    assert options.channels == ("T1", "T2") and keys == ["channels", "fast", "tolerance"]


@pytest.mark.parametrize("place", PLACES)
def test_either_name_is_found(tmp_path: Path, place: str) -> None:
    options = parse(["--root", str(tmp_path)])
    assert with_parameters(options) == (options, [])
    file = options.at(place)
    file.parent.mkdir(parents=True)
    file.write_text("")
    assert with_parameters(options) == (options, [])
    file.write_text("device: cpu")
    assert with_parameters(options)[1] == ["device"]
    (tmp_path / "mine.yaml").write_text("fast: true")
    assert with_parameters(parse(["--parameters-file", str(tmp_path / "mine.yaml")]))[1] == ["fast"]


@pytest.mark.parametrize(
    "content",
    [
        "ZZPHIZZ: 1",
        "names_in_report: true",
        "site_key: /key",
        "private_list: true",
        "debug: true",
        "fast: ZZPHIZZ",
        "fast: 1",
        "min_cases: 2",
        "precision: fp8",
        "output_format: ZZPHIZZ",
        "- fast",
        "ZZPHIZZ",
        "{",
        "!!python/object/apply:os.system [touch ZZPHIZZ]",
        "channels: []",
    ],
)
def test_what_is_not_known_ends_the_run(mounted: Container, tmp_path: Path, content: str) -> None:
    image(mounted.root / "input" / "a_0000.nii.gz")
    (tmp_path / "x.yaml").write_text(content)
    ran = mounted("infer", "--parameters-file", tmp_path / "x.yaml")
    assert (ran.code, ran.faults) == (2, ["parameters"])
    assert CANARY not in ran.out + ran.err and ran.err.startswith("The parameters file cannot be used.")
    assert not (mounted.root / "output").exists()


def test_one_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.yaml")
    assert read(Path("/dev/null")) == Parameters()


def test_it_sets_what_is_run(mounted: Container) -> None:
    volumes = mounted.root / "mlcommons" / "volumes"
    for seed, case in enumerate("abcde"):
        label_map(volumes / "predictions" / f"{case}.nii.gz", seed)
        label_map(volumes / "labels" / f"{case}.nii.gz", seed)
    file = volumes / "parameters" / "parameters.yaml"
    file.parent.mkdir()
    file.write_text(json.dumps({"tolerance": "shell=4", "min_cases": 3}))
    ran = mounted("evaluate")
    assert ran.code == 0 and ran.fields("parameters_read") == [{"keys": ["min_cases", "tolerance"]}]
    results = (volumes / "results" / "results.yaml").read_text()
    assert "min_cases: 3" in results and "nsd_tolerance_mm: 4.0" in results
