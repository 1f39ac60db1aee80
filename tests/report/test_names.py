from medmamba.report.names import Names


def test_real_names_where_nothing_is_hidden() -> None:
    names = Names()
    assert not names.hides
    assert names.shown("case") == "case" and names.told("in /data/case", "x") == "in /data/case"


def test_hidden_names_never_come_out() -> None:
    names = Names({"real": "pseudonym"})
    assert names.hides and names.shown("real") == "pseudonym"
    assert [names.shown(one) for one in ("other", "third", "other")] == ["unnamed 1", "unnamed 2", "unnamed 1"]
    assert names.told("/data/real", "left out") == "left out"
