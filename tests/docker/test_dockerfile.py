import json
import re

import pytest

from medmamba._version import __version__
from medmamba.site.environment import CACHES
from tests.docker.dockerfile import DOCKER, ROOT, Stage, stages

ARGUMENTS, (BUILD, FINAL) = stages(DOCKER / "Dockerfile")
COMPILERS = re.compile(r"\b(gcc|g\+\+|clang|build-essential|make|cmake|nvcc|devel|-dev)\b")
BASES = (ARGUMENTS["BASE"], *re.findall(r"BASE=(\S+)", (DOCKER / "Dockerfile").read_text()))


@pytest.mark.parametrize("base", BASES)
def test_bases_are_versions_without_a_compiler(base: str) -> None:
    name, _, version = base.rpartition(":")
    assert name and re.search(r"\d+\.\d+\.\d+", version) and "latest" not in base
    assert "devel" not in version


def test_both_stages_stand_on_the_same_base() -> None:
    assert BUILD.base == FINAL.base == "${BASE}"


def test_the_compiler_stays_in_the_first_stage() -> None:
    assert any("g++" in line for line in BUILD.all("RUN"))
    assert not any(COMPILERS.search(line) for line in FINAL.all("RUN"))


def test_only_the_environment_is_carried_on() -> None:
    assert FINAL.all("COPY") == ["--from=build /opt/medmamba/env /opt/medmamba/env"]


@pytest.mark.parametrize("stage", [BUILD, FINAL], ids=["build", "final"])
def test_nothing_is_downloaded_and_run(stage: Stage) -> None:
    text = " ".join(rest for _, rest in stage.instructions)
    assert not re.search(r"\b(curl|wget|git clone)\b", text)
    assert stage.all("ADD") == []


def test_runs_as_a_number_without_a_name() -> None:
    assert FINAL.all("USER") == ["10001:10001"]
    last = [word for word, _ in FINAL.instructions]
    assert "RUN" not in last[last.index("USER") :]


def test_starts_the_site() -> None:
    assert json.loads(FINAL.all("ENTRYPOINT")[0]) == ["python", "-m", "medmamba.site"]
    assert json.loads(FINAL.all("CMD")[0]) == ["run"]


def test_every_cache_has_its_place_in_tmp() -> None:
    environment = FINAL.environment
    assert all(environment[name].startswith("/tmp/") for name in CACHES)
    assert len({environment[name] for name in CACHES}) == len(CACHES)
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert environment["USER"] and environment["LOGNAME"]


def test_imports_nothing_from_where_it_is_started() -> None:
    assert FINAL.environment["PYTHONSAFEPATH"] == "1"
    assert not FINAL.all("WORKDIR")[-1].startswith("/tmp")


def test_copies_what_the_wheel_is_made_of() -> None:
    copied = {source for line in BUILD.all("COPY") for source in line.split()[:-1]}
    assert copied == {
        "pyproject.toml", "constraints.txt", "setup.py", "MANIFEST.in", "README.md", "LICENSE",
        "medmamba", "cli", "datasets", "plans", "docker/needs.py", "docker/slim.py",
    }  # fmt: skip
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_context_is_closed_but_for_that() -> None:
    lines = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    copied = {source for line in BUILD.all("COPY") for source in line.split()[:-1]}
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert {"**/*.so", "**/__pycache__"} <= set(rules)  # the library is built in the first stage and nowhere else


def test_labels() -> None:
    (label,) = FINAL.all("LABEL")
    assert 'org.opencontainers.image.version="${VERSION}"' in label


def test_the_version_in_examples_is_this_one() -> None:
    for file in [*DOCKER.rglob("*.md"), *DOCKER.rglob("*.yaml"), *DOCKER.glob("Dockerfile*"), DOCKER / "run.sh"]:
        versions = set(re.findall(r"\bmedmamba[:-](\d+\.\d+\.\d+)", file.read_text()))
        assert versions <= {__version__}, file


def test_a_model_inside_is_checked_and_pinned() -> None:
    _, (stage,) = stages(DOCKER / "Dockerfile.bundle")
    assert stage.all("COPY") == [". /opt/medmamba/bundle/"]
    assert stage.environment == {"MEDMAMBA_SITE_EXPECT": "${DIGEST}"}
    words = [word for word, _ in stage.instructions]
    assert words.index("ENV") < words.index("RUN")
    assert "selftest" in stage.all("RUN")[0]
    assert stage.all("LABEL") == ['medmamba.bundle.digest="${DIGEST}"']
    assert stage.all("USER") == []
