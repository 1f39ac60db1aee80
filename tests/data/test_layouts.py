from typing import Any

import pytest
from pydantic import ValidationError

from medmamba.data.layouts import Layout, Pairs

GOOD: dict[str, Any] = {"split": "training", "images": "i/{case}.nii.gz", "label": "l/{case}.nii.gz"}


def test_one_pattern_is_a_list_of_one() -> None:
    layout = Layout.model_validate(GOOD)
    assert layout.images == ("i/{case}.nii.gz",) and layout.label_kind == "map" and layout.trained_on
    assert layout.lines() == ["training: .", "  i/{case}.nii.gz", "  label: l/{case}.nii.gz"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"images": "i/a.nii.gz"}, "holds no {case}"),
        ({"images": ["a/{case}.nii", "b/{patient}.nii"]}, r"needs the placeholders \['case'\]"),
        ({"label": "l/{patient}.nii.gz"}, "needs the placeholders"),
        ({"label": ()}, "a training split needs one"),
        ({"images": "{p}/{t}.nii", "label": "{p}/{t}_s.nii"}, r"set name to '{p}_{t}'"),
        ({"images": "{p}/{t}.nii", "label": "{p}/{t}_s.nii", "name": "{p}"}, r"leaves out \['t'\]"),
        ({"label": "/l/{case}.nii"}, "must be a path below"),
        ({"label": "../l/{case}.nii"}, "must be a path below"),
        ({"kind": "time", "images": ["a/{case}.nii", "b/{case}.nii"]}, "takes one pattern"),
        ({"label": ["a/{case}.nii", "b/{case}.nii"]}, "only label_kind 'binary' joins"),
        ({"label_kind": "instances"}, "is for kind 'rgb' or 'grey'"),
        ({"label_kind": "masks"}, r"needs the placeholders \['case', 'label'\]"),
        ({"join": True}, "only a validation split"),
        ({"crop": [0, 0, 5, 5]}, "are for kind 'rgb' or 'grey'"),
        ({"where": {"patient": "x"}}, r"\['patient'\] is in no image pattern"),
        ({"where": {"case": "("}}, "no regular expression"),
        ({"kind": "clip"}, "needs the placeholders"),
        ({"split": "train"}, "'training', 'validation' or 'test'"),
    ],
)
def test_what_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Layout.model_validate(GOOD | change)


def test_pairs_by_match_need_two_expressions() -> None:
    assert Pairs(rule="match", fixed="(.*)_MR", moving="(.*)_CT").rule == "match"
    for wrong in ({"rule": "match", "fixed": "(.*)_MR"}, {"rule": "channels", "fixed": "(.*)"}, {"rule": "match"}):
        with pytest.raises(ValidationError, match="regular expressions with one group"):
            Pairs.model_validate(wrong)
    with pytest.raises(ValidationError, match="no regular expression"):
        Pairs(rule="match", fixed="(", moving="(.*)")
