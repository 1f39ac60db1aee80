import shutil
from pathlib import Path

from tests.site.made import Container, files, subjects


def test_one_file_a_subject_and_nothing_else(container: Container, brats_bundle: Path) -> None:
    shutil.copytree(brats_bundle, container.root / "opt" / "ml" / "model")
    names = subjects(container.root / "input")
    ran = container()
    assert ran.code == 0, ran.err
    assert ran.fields("mode_chosen") == [{"mode": "brats-2025", "how": "detected"}]
    assert files(container.root / "output") == [f"{name}.nii.gz" for name in names]
    (container.root / "input" / names[0] / f"{names[0]}-t2f.nii.gz").unlink()
    ran = container()
    assert (ran.code, ran.faults) == (6, ["channel-missing"])


def test_a_model_of_other_images_is_refused(mounted: Container) -> None:
    subjects(mounted.root / "input", 1)
    ran = mounted()
    assert (ran.code, ran.faults) == (5, ["bundle-channels"])
    assert not (mounted.root / "output").exists()
