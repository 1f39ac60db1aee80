from tests.site.made import Container, image


def test_check_writes_nothing(mounted: Container) -> None:
    image(mounted.root / "input" / "a_0000.nii.gz")
    ran = mounted("check")
    assert ran.code == 0 and ran.fields("case_good")[0]["shape"] == [10, 12, 14]
    assert not (mounted.root / "output").exists()
