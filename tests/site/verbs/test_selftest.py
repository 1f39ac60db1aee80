from tests.site.made import Container


def test_selftest(mounted: Container) -> None:
    ran = mounted("selftest")
    assert ran.code == 0 and ran.fields("self_test_passed")[0]["logits"] < 1e-3
    assert not (mounted.root / "output").exists()
