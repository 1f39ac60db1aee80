"""Bad pairs, each with a sentence of its own."""

import gzip
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medmamba.errors import ConfigError, DataError
from medmamba.register.pair.checks import read_pair
from medmamba.register.pair.options import Inputs, Options
from tests.register import made_pairs
from tests.register.made_pairs import SHAPE, centred, save, write

Files = dict[str, Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return made_pairs.write_pair(tmp_path_factory.mktemp("made"))


def copied(made: Files, folder: Path) -> Files:
    return {name: Path(shutil.copy(path, folder)) for name, path in made.items()}


@pytest.fixture
def files(made: Files, tmp_path: Path) -> Files:
    return copied(made, tmp_path)


def read(files: Files, **options: object) -> object:
    images = {"fixed", "moving"}
    inputs = Inputs(**{name: path for name, path in files.items() if name not in images})
    return read_pair(files["fixed"], files["moving"], inputs, Options(**options))  # type: ignore[arg-type]


def test_a_good_pair_has_no_warning(files: Files) -> None:
    pair = read(files)
    assert pair.warnings == () and pair.labels == (1, 2) and not pair.same
    assert pair.fixed.scaled.data.dtype == np.float32 and pair.fixed.scaled.data.min() >= 0
    assert pair.fixed.scaled.data.max() == 1 and pair.fixed.scheme.modality == "mri"


def broken(name: str, data: np.ndarray, affine: np.ndarray | None = None) -> Callable[[Files], Files]:
    return lambda files: (
        files | {name: save(files[name if name in files else "fixed"].with_name(f"x_{name}.nii.gz"), data, affine)}
    )


def truncated(files: Files) -> Files:
    files["moving"].write_bytes(files["moving"].read_bytes()[:-200])
    return files


def no_spacing(files: Files) -> Files:
    image = nibabel.load(files["moving"])
    header = bytearray(gzip.decompress(files["moving"].read_bytes()))
    header[76 + 4 : 76 + 16] = np.zeros(3, image.header["pixdim"].dtype).tobytes()
    header[252:256] = np.zeros(2, "<i2").tobytes()  # no qform, no sform
    files["moving"].write_bytes(gzip.compress(bytes(header)))
    return files


def far_points(files: Files) -> Files:
    for side in ("fixed", "moving"):
        (files[side].with_name(f"{side}.csv")).write_text("x,y,z\n900,900,900\n")
    return files | {f"{side}_points": files[side].with_name(f"{side}.csv") for side in ("fixed", "moving")}


def unequal_points(files: Files) -> Files:
    files = far_points(files)
    files["fixed_points"].write_text("x,y,z\n1,2,3\n")
    files["moving_points"].write_text("x,y,z\n1,2,3\n4,5,6\n")
    return files


def no_common_label(files: Files) -> Files:
    return files | {"moving_seg": write(files["moving"].with_name("y.nii.gz"), lambda p: made_pairs.structures(p) * 7)}


BLANK = np.zeros(SHAPE, np.int16)
NAN = np.full(SHAPE, 1.0, np.float32)
NAN[3, 4, 5] = np.nan
FRACTIONS = np.random.default_rng(0).random(SHAPE).astype(np.float32)
AWAY = nibabel.affines.from_matvec(np.eye(3), [5000.0, 0, 0])

REFUSED: dict[str, tuple[Callable[[Files], Files], str]] = {
    "two axes": (broken("moving", np.ones((20, 20), np.int16)), "no volume|2-D"),
    "one slice": (broken("moving", np.ones((20, 20, 1), np.int16)), "no volume|slice"),
    "few slices": (broken("moving", np.arange(1200, dtype=np.int16).reshape(20, 20, 3)), "3 slices along z"),
    "four axes": (broken("moving", np.ones((20, 20, 20, 5), np.int16)), "4|four"),
    "not a number": (broken("moving", NAN), "NaN"),
    "constant": (broken("moving", np.full(SHAPE, 7, np.int16)), "7 everywhere"),
    "no spacing": (no_spacing, "voxel|spacing"),
    "truncated": (truncated, "truncated|damaged|ends"),
    "missing": (lambda files: files | {"fixed": Path("gone.nii.gz")}, "gone.nii.gz is not there"),
    "empty mask": (broken("fixed_mask", BLANK), "empty mask"),
    "mask elsewhere": (broken("fixed_mask", BLANK + 1, AWAY), "lies outside of"),
    "empty labels": (broken("moving_seg", BLANK), "no label but the background"),
    "labels elsewhere": (broken("moving_seg", BLANK + 1, AWAY), "None of the labels"),
    "no label in common": (no_common_label, "no label in common"),
    "labels with fractions": (broken("moving_seg", FRACTIONS), "no label map"),
    "points outside": (far_points, "All 1 points"),
    "points that are no pairs": (unequal_points, "has 1 points, .* 2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, files: Files) -> None:
    spoil, sentence = REFUSED[name]
    with pytest.raises((DataError, ConfigError), match=sentence) as error:
        read(spoil(files))
    assert error.value.remedy and "\n" not in error.value.problem


def test_all_refusals_differ(made: Files, tmp_path_factory: pytest.TempPathFactory) -> None:
    said = set()
    for spoil, _ in REFUSED.values():
        folder = tmp_path_factory.mktemp("spoilt")
        with pytest.raises((DataError, ConfigError)) as error:
            read(spoil(copied(made, folder)))
        said.add(re.sub(rf"{folder}/[^ ]*", "FILE", error.value.problem))
    assert len(said) == len(REFUSED)


def test_apart_by_their_headers(files: Files) -> None:
    data = nibabel.load(files["moving"]).get_fdata().astype(np.int16)
    away = files | {"moving": save(files["moving"].with_name("away.nii.gz"), data, AWAY)}
    del away["fixed_seg"], away["moving_seg"]
    assert "do not overlap" in read(away).warnings[0]
    for options in ({"init": "header"}, {"affine": "none"}):
        with pytest.raises(ConfigError, match="do not overlap"):
            read(away, **options)


def test_warned(files: Files, tmp_path: Path) -> None:
    mirrored = centred((2.0, 1.8, 2.2)) @ np.diag([-1.0, 1, 1, 1])
    pair = read({"fixed": write(tmp_path / "l.nii.gz", affine=mirrored), "moving": files["moving"]})
    assert "left hand" in pair.warnings[0]
    image = nibabel.load(files["fixed"])
    image.set_qform(image.affine + np.array([[0, 0, 0, 30], [0] * 4, [0] * 4, [0] * 4]), 1)
    nibabel.save(image, tmp_path / "forms.nii.gz")
    assert "forms.nii.gz" in read({"fixed": tmp_path / "forms.nii.gz", "moving": files["moving"]}).warnings[0]
    half = save(tmp_path / "m.nii.gz", np.ones((10, 10, 10), np.uint8), centred((4.0, 4.0, 4.0), (10, 10, 10)))
    pair = read(files | {"fixed_mask": half})
    assert "it is resampled" in pair.warnings[0] and pair.fixed.mask.data.shape == SHAPE and pair.fixed.mask.data.any()


def test_one_image_twice(files: Files) -> None:
    pair = read({"fixed": files["fixed"], "moving": files["fixed"]})
    assert pair.same and "the same image" in pair.warnings[0]


def test_what_goes_in_twos(files: Files) -> None:
    read({name: files[name] for name in ("fixed", "moving", "moving_seg")})  # only warped
    with pytest.raises(ConfigError, match="goes with --moving-seg"):
        read({name: files[name] for name in ("fixed", "moving", "fixed_seg")})
    with pytest.raises(ConfigError, match="no segmentations"):
        read({name: files[name] for name in ("fixed", "moving")}, io_labels=True)
