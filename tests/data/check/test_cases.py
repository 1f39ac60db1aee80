import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medmamba.data.check.cases import compare
from medmamba.data.check.dataset_json import Description
from medmamba.data.check.geometry import TOLERANCE
from medmamba.data.check.image import examine
from medmamba.data.check.layout import Case
from tests.data import bad


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def kinds_of_pair(place: Path, image: np.ndarray, label: np.ndarray) -> list[str]:
    """The findings of a case whose image and label have these affines, written to files and read again."""
    paths = place / "c_0000.nii.gz", place / "c.nii.gz"
    random = np.random.default_rng(0)
    bad.save(paths[0], random.random(bad.SHAPE, np.float32), image)
    bad.save(paths[1], random.integers(0, 2, bad.SHAPE, np.uint8), label)
    examined = {path: examine(path, role) for path, role in zip(paths, ("image", "label"), strict=True)}
    case = Case("c", "training", {0: paths[0]}, paths[1])
    return [finding.kind for finding in compare(case, examined, Description(".nii.gz", ("MRI",))).findings]


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(0.3, 5)] * 3),
    st.tuples(*[st.floats(-400, 400)] * 3),
    st.tuples(*[st.floats(-1, 1)] * 3),
    st.floats(0.02, 3),
)
def test_shift_of_a_label_on_disk(place: Path, angles, spacing, origin, way, voxels: float) -> None:
    assume(np.linalg.norm(way) > 0.1 and abs(voxels - TOLERANCE) > 0.01)
    image = np.eye(4)
    image[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing
    image[:3, 3] = origin
    label = image.copy()
    label[:3, 3] += np.array(way) / np.linalg.norm(way) * voxels * min(spacing)
    assert kinds_of_pair(place, image, image) == []
    assert kinds_of_pair(place, image, label) == ["label-geometry" if voxels > TOLERANCE else "label-rounding"]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2), st.floats(0.005, 2))
def test_spacing_of_a_label_on_disk(place: Path, axis: int, voxels: float) -> None:
    assume(abs(voxels - TOLERANCE) > 0.01)
    image = np.diag([1.0, 1.0, 1.0, 1.0])
    label = image.copy()
    label[axis, axis] += voxels / (bad.SHAPE[axis] - 1)
    assert kinds_of_pair(place, image, label) == ["label-geometry" if voxels > TOLERANCE else "label-rounding"]
