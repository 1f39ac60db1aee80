import logging
import sys
import warnings

import pytest

from medmamba.dicom import extra
from medmamba.errors import SetupError


@pytest.mark.parametrize("name", ["highdicom", "pydicom"])
def test_without_the_packages_a_sentence_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SetupError, match=rf"need the package {name}.*pip install 'medmamba\[dicom\]'"):
        extra.require()


def test_their_warnings_and_logs_are_not_shown(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    log = logging.getLogger("pydicom.something")
    with warnings.catch_warnings(record=True) as heard, extra.quiet():
        warnings.warn("the name of a patient", stacklevel=1)
        log.warning("the name of a patient")
    assert not heard and not caplog.text and not capfd.readouterr().err
    log.warning("afterwards")
    assert "afterwards" in caplog.text
