import json
from typing import Any

import pytest


def test_doctor_says_which_scan_runs(run: Any) -> None:
    findings = {finding["what"]: finding for finding in json.loads(run("doctor", "--json").stdout)}
    assert findings["scan on cpu"]["found"]
    assert findings["torch"]["state"] == "ok"
    assert findings["raw"]["found"].startswith("/")


def test_a_missing_package_comes_with_its_command(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medmamba.doctor._NEEDED", ("torch", "no-such-package"))
    result = run("doctor")
    assert result.exit_code == 3
    assert "pip install no-such-package" in result.stdout
