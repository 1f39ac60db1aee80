import json

from medmamba.site import verbs
from medmamba.site.events import FIELDS, MODES, PARAMETERS, VERBS
from medmamba.site.modes import MODES as CLASSES
from medmamba.site.parameters import Parameters
from tests.site.made import Container


def test_describe_is_the_contract(container: Container) -> None:
    ran = container("describe")
    told = json.loads(ran.out)
    assert ran.code == 0 and set(told["exit_codes"]) == {str(code) for code in (0, 2, 3, 4, 5, 6, 7)}
    assert list(told["verbs"]) == list(VERBS) == [*sorted(verbs.BY_NAME, key=VERBS.index)]
    assert sorted(told["modes"]) == sorted(MODES) == sorted(mode.name for mode in CLASSES)
    assert len(told["events"]) == len(FIELDS) and told["events"]["refused"]["level"] == "error"
    assert told["parameters"]["keys"] == list(PARAMETERS) == sorted(Parameters.model_fields)
    assert str(container.root) not in ran.out


def test_every_verb_of_a_mode_is_described() -> None:
    for mode in CLASSES:
        content = mode.as_json()
        assert set(content["verbs"]) <= set(VERBS)
        assert set(content["tasks"]) - {"all"} == set(content["verbs"]) & {
            "evaluate", "report", "prepare", "sanity_check", "statistics",
        }  # fmt: skip
