import csv
import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from tests.predict.made_images import affine, save, save_series
from tests.site.made import BRATS, Container, files, image, label_map, subjects

CANARY = "ZZPHIZZ"
OBLIQUE = affine((0.8, 1.25, 3.0), turn=(20, -15, 40))


def names(container: Container) -> dict[str, str]:
    """Case -> pseudonym."""
    with (container.root / "output" / "private" / "cases.csv").open() as file:
        return {row["case"]: row["pseudonym"] for row in csv.DictReader(file)}


def test_raw_images_become_cases_under_pseudonyms(mounted: Container) -> None:
    cases = mounted.root / "input" / "cases"
    image(cases / f"{CANARY}1" / "CT.nii.gz")
    save_series(cases / f"{CANARY}2", np.arange(1680, dtype=np.int16).reshape(14, 12, 10), OBLIQUE)
    marks = {"descrip": CANARY.encode(), "aux_file": CANARY.encode()}
    save(cases / f"{CANARY}3_0000.nii.gz", matrix=OBLIQUE, **marks)
    label_map(mounted.root / "input" / "labels" / f"{CANARY}1.nii.gz")
    (cases / f"{CANARY}4_0000.nii.gz").write_bytes(b"nothing")
    ran = mounted("prepare", "--private-list")
    assert (ran.code, ran.faults) == (6, ["not-gzip"]) and len(ran.fields("case_prepared")) == 3
    known, out = names(mounted), mounted.root / "output"
    one, two, three = (known[f"{CANARY}{number}"] for number in (1, 2, 3))
    made = [f"prepared/{name}_0000.nii.gz" for name in (one, two, three)]
    assert files(out) == ["log.jsonl", *sorted([*made, f"prepared/labels/{one}.nii.gz"]), "private/cases.csv"]
    for path in (out / "prepared").rglob("*.nii.gz"):
        assert CANARY.encode() not in path.read_bytes() + gzip.decompress(path.read_bytes())
    before, after = nibabel.load(cases / f"{CANARY}3_0000.nii.gz"), nibabel.load(out / made[2])
    assert np.allclose(before.affine, after.affine, atol=1e-5) and np.array_equal(before.dataobj, after.dataobj)
    assert after.get_data_dtype() == np.int16 and np.allclose(nibabel.load(out / made[1]).affine, OBLIQUE, atol=1e-4)
    read = [sitk.ReadImage(str(out / path)) for path in (made[0], f"prepared/labels/{one}.nii.gz")]
    assert read[0].GetSize() == read[1].GetSize() and np.allclose(read[0].GetOrigin(), read[1].GetOrigin())


def test_what_it_wrote_is_the_input_of_further_runs(mounted: Container, tmp_path: Path) -> None:
    for case in "ab":
        image(mounted.root / "input" / "cases" / f"{case}_0000.nii.gz")
        label_map(mounted.root / "input" / "labels" / f"{case}.nii.gz")
    assert mounted("prepare").code == 0
    (mounted.root / "output" / "prepared").rename(tmp_path / "prepared")
    ran = mounted("run", "--input", tmp_path / "prepared")
    assert ran.code == 0 and len(ran.fields("case_scored")) == 2
    assert mounted("sanity_check", "--input", tmp_path / "prepared").code == 0


@pytest.mark.parametrize(
    ("values", "shape", "fault"), [((0, 9), (10, 12, 14), "pair-values"), ((0, 1), (10, 12, 13), "label-image")]
)
def test_labels_that_do_not_go_with_the_image(
    mounted: Container, values: tuple[int, ...], shape: tuple[int, ...], fault: str
) -> None:
    image(mounted.root / "input" / "cases" / "a_0000.nii.gz")
    label_map(mounted.root / "input" / "labels" / "a.nii.gz", values=values, shape=shape)
    ran = mounted("prepare")
    assert (ran.code, ran.faults) == (3, [fault])
    assert files(mounted.root / "output") == ["log.jsonl"]


def test_medperf_data_preparator(container: Container) -> None:
    volumes = container.root / "mlcommons" / "volumes"
    for subject in subjects(volumes / "raw_data", 3):
        label_map(volumes / "raw_labels" / f"{subject}.nii.gz", values=(0, 1, 2, 3))
    assert container("prepare").code == 5  # nothing tells the channels
    ran = container("prepare", "--channels", ",".join(BRATS))
    assert ran.code == 0, ran.err
    assert ran.fields("mode_chosen") == [{"mode": "medperf", "how": "detected"}]
    made = files(volumes / "labels")
    assert len(made) == 3
    stems = [name.removesuffix(".nii.gz") for name in made]
    assert files(volumes / "data") == [f"{stem}_{number:04d}.nii.gz" for stem in stems for number in range(4)]
    before = files(volumes)
    assert container("sanity_check").code == 0 and files(volumes) == before
    (volumes / "data" / f"{stems[0]}_0002.nii.gz").unlink()
    ran = container("sanity_check")
    assert (ran.code, ran.faults) == (6, ["channel-missing"])


def test_it_writes_where_it_may(mounted: Container) -> None:
    image(mounted.root / "input" / "a_0000.nii.gz")
    (mounted.root / "output").touch()
    assert mounted("prepare").code == 4
