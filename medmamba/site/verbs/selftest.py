"""Have the model predict the bundle's own image, and compare."""

from typing import Any

from ...errors import BundleError
from ..events import Event
from ..exits import ExitCode
from ..session import Session


def selftest(session: Session) -> ExitCode:
    """BundleError where this machine computes something else, or the bundle has no self-test."""
    from ...bundle.verify import verify

    session.begin()
    options, model = session.options, session.model()
    test = verify(
        session.bundle(), model.digest, self_test=True, device=options.device, precision=options.precision
    ).self_test
    if test is None:
        raise BundleError("The bundle has no self-test.")
    found: dict[str, Any] = {"logits": round(test.logits, 6), "voxels": round(test.voxels, 6)}
    session.log.write(Event.SELF_TEST_PASSED, identical=test.identical, **found)
    return ExitCode.OK
