from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from medmamba.data.cards import Card, card
from medmamba.data.labelmaps import LabelMap, UnknownLabelError, description, to_raw, to_raw_file
from medmamba.errors import DataError
from medmamba.files import write_json

RAW = st.lists(st.integers(-1000, 70000), min_size=1, max_size=40, unique=True)


def with_raw(values: list[int], background: int = 0) -> Card:
    names = [f"n{place}" for place in range(len(values))]
    labels = {"background": 0} | {name: place for place, name in enumerate(names, start=1)}
    raw = {"background": background} | dict(zip(names, values, strict=True))
    return card("Hippocampus").model_copy(update={"labels": labels, "raw_labels": raw})


@given(RAW, st.sampled_from([np.int32, np.float64]), st.randoms())
def test_there_and_back(tmp_path_factory: Any, values: list[int], dtype: type, random: Any) -> None:
    values = [value for value in values if value]
    known = with_raw(values)
    raw = np.array([random.choice([0, *values]) for _ in range(60)], dtype).reshape(3, 4, 5)
    mapped = LabelMap.of(known).apply(raw)
    assert mapped.shape == raw.shape and mapped.dtype == np.uint8 and mapped.max() <= len(values)
    folder = tmp_path_factory.mktemp("map")
    write_json(folder / "label_map.json", description(known))
    assert np.array_equal(to_raw(mapped, folder), raw)


@given(RAW, st.integers(-1000, 70000))
def test_unknown_values_are_named(values: list[int], strange: int) -> None:
    values = [value for value in values if value and value != strange]
    if not strange:
        return
    with pytest.raises(UnknownLabelError, match=rf"has the label value\(s\) {strange}$|{strange} "):
        LabelMap.of(with_raw(values)).apply(np.array([[0, strange]], np.int32))


@pytest.mark.parametrize(("value", "told"), [(1.5, "1.5, which is no whole"), (np.nan, "NaN"), (np.inf, "infinite")])
def test_numbers_that_are_no_labels(value: float, told: str) -> None:
    with pytest.raises(UnknownLabelError, match=told):
        LabelMap.of(card("BraTS2021")).apply(np.array([0, value]))


def test_by_name_and_joined_values(tmp_path: Path) -> None:
    known = card("BraTS2021")
    assert LabelMap.of(known).apply(np.array([0, 1, 2, 4])).tolist() == [0, 2, 1, 3]
    update = {"labels": {"background": 0, "cortex": 1}, "raw_labels": {"cortex": (3, 42), "white matter": 2}}
    joined = known.model_copy(update=update)
    assert LabelMap.of(joined).apply(np.array([0, 3, 42, 2])).tolist() == [0, 1, 1, 0]
    write_json(tmp_path / "label_map.json", description(joined))
    assert to_raw(np.array([0, 1]), tmp_path).tolist() == [0, 3]


def test_many_labels_need_more_bits() -> None:
    assert LabelMap.of(with_raw(list(range(1, 300)))).apply(np.array([299])).dtype == np.uint16


def test_files_keep_their_geometry(tmp_path: Path) -> None:
    write_json(tmp_path / "label_map.json", description(card("BraTS2021")))
    image = sitk.GetImageFromArray(np.array([[[0, 1], [2, 3]]], np.uint8))
    image.SetOrigin((5, -6, 7.5))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / "p.nii.gz"))
    to_raw_file(tmp_path / "p.nii.gz", tmp_path, tmp_path / "out" / "p.nii.gz")
    raw = sitk.ReadImage(str(tmp_path / "out" / "p.nii.gz"))
    assert sitk.GetArrayFromImage(raw).ravel().tolist() == [0, 2, 1, 4]
    assert raw.GetOrigin() == image.GetOrigin() and raw.GetDirection() == image.GetDirection()


def test_a_prediction_of_something_else_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "label_map.json", description(card("BraTS2021")))
    with pytest.raises(DataError, match=r"holds 0 to 9, .* 0 to 3"):
        to_raw(np.array([0, 9]), tmp_path)
    with pytest.raises(DataError, match=r"label_map\.json does not exist"):
        to_raw(np.array([0]), tmp_path / "elsewhere")
    (tmp_path / "no.nii.gz").write_text("no image")
    with pytest.raises(DataError, match="cannot be read"):
        to_raw_file(tmp_path / "no.nii.gz", tmp_path, tmp_path / "x.nii.gz")


def test_codes_go_with_the_labels() -> None:
    content = description(card("BraTS2023"))
    assert content["codes"]["ET"] == ["SCT", "108369006", "Tumor"] and content["abnormal"] == ["NCR", "SNFH_ED", "ET"]
    assert content["labels"] == {"background": 0, "NCR": 1, "SNFH_ED": 2, "ET": 3}
    assert set(description(with_raw([1]).model_copy(update={"codes": {}}))) == {"card", "kind", "to_raw"}
