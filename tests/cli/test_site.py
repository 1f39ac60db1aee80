from typing import Any


def test_arguments_go_to_the_site_as_they_are(run: Any, capfd: Any) -> None:
    shown = run("site", "--help")
    assert shown.exit_code == 0 and "describe: print this contract as JSON" in shown.stdout
    assert run("site", "describe").exit_code == 0
    assert '"program": "medmamba site"' in capfd.readouterr().out
    assert run("site", "check", "--root", "/nowhere").exit_code == 5
    assert run("site", "--no-such-option").exit_code == 2
