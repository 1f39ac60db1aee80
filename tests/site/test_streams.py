import os
import sys
import warnings
from typing import Any

import pytest

from medmamba.site.streams import own_streams


@pytest.mark.parametrize("debug", [False, True])
def test_only_the_screen_is_heard(capfd: Any, debug: bool) -> None:
    with own_streams(debug) as screen:
        print("ZZ1")
        os.write(1, b"ZZ2")
        os.write(2, b"ZZ3")
        print("ZZ4", file=sys.stderr)
        screen.say("out")
        screen.complain("err")
    print("after")
    out, err = capfd.readouterr()
    assert out == "out\nafter\n"
    assert ("ZZ3" in err, "ZZ4" in err) == (debug, debug) and "err\n" in err


def test_a_reader_who_is_gone_is_no_error(capfd: Any) -> None:
    with own_streams() as screen, warnings.catch_warnings():
        screen.out.close()
        screen.say("nobody hears it")
    assert capfd.readouterr().out == ""
