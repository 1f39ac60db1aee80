"""Rules read, written and applied, beside nnU-Net's."""

import json
import pickle
from multiprocessing import dummy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nnunetv2.postprocessing.remove_connected_components import (
    apply_postprocessing,
    apply_postprocessing_to_folder,
    remove_all_but_largest_component_from_segmentation,
)
from numpy.typing import NDArray

from medmamba.errors import ConfigError, DataError
from medmamba.nnunet.batches import BatchError
from medmamba.nnunet.folds.crossval import summary
from medmamba.nnunet.folds.postprocess import Rule, apply, describe, postprocess, read_rules, write_rules
from tests.nnunet.made_models import islands, made_model

KEEP = remove_all_but_largest_component_from_segmentation
NNUNET: list[Any] = [[1, 2], 1, (1, 2), [(1, 2), 3], np.int64(2)]
OURS = [(1, 2), (1,), (1, 2), (1, 2, 3), (2,)]


@pytest.mark.parametrize(("theirs", "ours"), list(zip(NNUNET, OURS, strict=True)))
def test_nnunets_pickle_is_read(theirs: Any, ours: tuple[int, ...], tmp_path: Path) -> None:
    (tmp_path / "postprocessing.pkl").write_bytes(pickle.dumps(([KEEP], [{"labels_or_regions": theirs}])))
    assert read_rules(tmp_path / "postprocessing.pkl") == [Rule(ours)]


@given(
    arrays(np.uint8, (4, 5, 6), elements=st.integers(0, 3)),
    st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=3, unique=True), max_size=3),
)
def test_rules_do_what_nnunets_functions_do(label_map: NDArray[np.uint8], labels: list[list[int]]) -> None:
    rules = [Rule(tuple(one)) for one in labels]
    theirs = apply_postprocessing(label_map, [KEEP] * len(rules), [{"labels_or_regions": tuple(one)} for one in labels])
    assert np.array_equal(apply(rules, label_map), theirs)


def test_both_files_say_the_same(tmp_path: Path) -> None:
    rules = [Rule((1, 2)), Rule((1,)), Rule((2, 3), background=1)]
    file = write_rules(tmp_path, rules, {"note": 1})
    assert read_rules(file) == read_rules(tmp_path / "postprocessing.pkl") == rules
    functions, arguments = pickle.loads((tmp_path / "postprocessing.pkl").read_bytes())
    assert functions == [KEEP] * 3 and arguments[2] == {"labels_or_regions": [2, 3], "background_label": 1}
    assert describe(rules[:2]) == "largest component of 1 + 2, then of 1"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"postprocessing_fns": [KEEP.__name__], "postprocessing_kwargs": []},
        {"postprocessing_fns": ["system"], "postprocessing_kwargs": [{"labels_or_regions": 1}]},
        {"postprocessing_fns": [KEEP.__name__], "postprocessing_kwargs": [{"labels": 1}]},
        {"postprocessing_fns": [KEEP.__name__], "postprocessing_kwargs": [{"labels_or_regions": "rm"}]},
        {"postprocessing_fns": [KEEP.__name__], "postprocessing_kwargs": [{"labels_or_regions": []}]},
        {"postprocessing_fns": [KEEP.__name__], "postprocessing_kwargs": [{"labels_or_regions": 1, "x": 1}]},
        {"postprocessing_fns": [KEEP.__name__], "postprocessing_kwargs": [3]},
    ],
)
def test_other_rules_are_refused(content: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "postprocessing.json"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"postprocessing\.json"):
        read_rules(file)


@pytest.mark.parametrize("content", [3, ([print], [{}]), ([KEEP], 1), ([KEEP],)])
def test_other_pickles_are_refused(content: Any, tmp_path: Path) -> None:
    (tmp_path / "rules.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=r"rules\.pkl"):
        read_rules(tmp_path / "rules.pkl")


def test_a_folder_is_processed_as_by_nnunet(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made_model(workplace, tmp_path, "nnUNetPlans", islands(1), probabilities=False)
    folder = summary(model, range(5)).folder
    rules = write_rules(tmp_path, [Rule((1,))], {})
    (folder / "broken.nii.gz").write_bytes(b"no image")
    with pytest.raises(BatchError, match="1 of 6 cases failed: broken"):
        postprocess(folder, rules, tmp_path / "ours")
    (folder / "broken.nii.gz").unlink()
    monkeypatch.setattr("multiprocessing.get_context", lambda _: dummy)
    apply_postprocessing_to_folder(str(folder), str(tmp_path / "theirs"), [KEEP], [{"labels_or_regions": 1}])
    for file in (tmp_path / "theirs").glob("*.nii.gz"):
        assert file.read_bytes() == (tmp_path / "ours" / file.name).read_bytes() != (folder / file.name).read_bytes()
    with pytest.raises(ConfigError, match="input and output"):
        postprocess(folder, rules, folder)
    for name in ("plans.json", "dataset.json"):  # found beside the rules
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(DataError, match="has no label maps"):
        postprocess(tmp_path / "empty", rules, tmp_path / "out")
