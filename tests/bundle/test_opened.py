"""Whatever is in a bundle's JSON, with a manifest that goes with it: a model, or a sentence."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import medmamba.bundle
from medmamba.errors import BundleError, ConfigError
from tests.bundle.made import seal

STRANGE: list[Any] = [
    *(None, True, -1, 0, 1, 3, 2**31, 2**62, -0.5, 1e300, "", "0", "os.system", "../x", [], {}),
    *([0], [[]], [None], [1, 2, 3], ["a"], {"a": 1}, {"0": {}}, "torch.nn.Conv3d", "3d_fullres", "2d"),
]


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    for key in list(content) if isinstance(content, dict) else range(len(content)):
        yield content, key
        if isinstance(content[key], dict | list):
            yield from places(content[key])


@pytest.fixture(scope="session")
def playground(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(original, tmp_path_factory.mktemp("strange") / "bundle")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_strange_values_are_refused_in_words(data: st.DataObject, playground: Path, original: Path) -> None:
    name = data.draw(st.sampled_from(["plans.json", "dataset.json", "bundle.json"]))
    content = json.loads((original / name).read_text())
    holder, key = data.draw(st.sampled_from(list(places(content))))
    if data.draw(st.booleans()) and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = data.draw(st.sampled_from(STRANGE))
    shutil.copy(original / "plans.json", playground)
    shutil.copy(original / "dataset.json", playground)
    shutil.copy(original / "bundle.json", playground)
    (playground / name).write_text(json.dumps(content))
    seal(playground)
    try:
        outcome = medmamba.bundle.load(playground, folds=[0]).name
    except (BundleError, ConfigError) as error:  # ConfigError: another task, other folds
        outcome = error.problem
    assert str(playground) in outcome
