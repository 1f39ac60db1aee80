import json
from typing import Any

from medmamba.networks import names


def test_every_network_is_listed(run: Any) -> None:
    result = run("nets")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in names())


def test_json_has_the_parameters_of_the_papers(run: Any) -> None:
    found = {network["name"]: network for network in json.loads(run("nets", "--json").stdout)}
    assert tuple(found) == names()
    assert found["segmamba"]["parameters"] == 67_362_674
    assert found["segmamba"]["trainer"] == "nnUNetTrainerSegMamba"
