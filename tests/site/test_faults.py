from pathlib import Path

import pytest

import medmamba
from medmamba.data.check.findings import KINDS
from medmamba.data.integrity import refusal
from medmamba.errors import BundleError, ConfigError, DataError, SetupError
from medmamba.site import faults
from medmamba.site.exits import ExitCode, code_of, code_of_run

SOURCE = (
    "".join(
        path.read_text()
        for part in ("predict", "bundle", "site", "data", "engine", "evaluate", "dicom")
        for path in sorted((Path(medmamba.__file__).parent / part).rglob("*.py"))
        if path.name != "faults.py"
    )
    + (Path(medmamba.__file__).parent / "runtime.py").read_text()
)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith(("json", "label"))])
def test_what_a_check_finds_has_its_own_sentence(kind: str) -> None:
    assert faults.fault_of(refusal(Path("ZZPHIZZ"), kind, "ZZPHIZZ.")) == kind
    assert "json" not in str(faults.FAULTS[kind])


def test_phrases_are_those_of_the_errors() -> None:
    own = {
        **faults._IMAGES,
        **faults._PAIRS,
        **faults._MACHINE,
        **faults._BUNDLES,
        **faults._WARNINGS,
        **faults._PROGRAM,
    }
    lost = [code for code, one in own.items() if one.phrase and one.phrase not in SOURCE]
    assert lost == []


@pytest.mark.parametrize(
    ("error", "fault", "code"),
    [
        (DataError("ZZPHIZZ"), "unusable", ExitCode.INPUT),
        (BundleError("ZZPHIZZ"), "bundle-refused", ExitCode.BUNDLE),
        (SetupError("ZZPHIZZ"), "resources", ExitCode.RESOURCES),
        (SetupError("Device 'ZZPHIZZ' is not available here."), "device-missing", ExitCode.RESOURCES),
        (ConfigError("ZZPHIZZ"), "arguments", ExitCode.USAGE),
        (MemoryError(), "memory", ExitCode.RESOURCES),
        (OSError(28, "ZZPHIZZ"), "disk-full", ExitCode.RESOURCES),
        (PermissionError(13, "ZZPHIZZ"), "permission", ExitCode.INPUT),
        (OSError(5, "ZZPHIZZ"), "unreadable", ExitCode.INPUT),
        (ZeroDivisionError("ZZPHIZZ"), "internal", ExitCode.INTERNAL),
        (KeyboardInterrupt(), "internal", ExitCode.INTERNAL),
    ],
)
def test_errors_have_a_code_and_a_sentence(error: BaseException, fault: str, code: ExitCode) -> None:
    assert (faults.fault_of(error), code_of(error)) == (fault, code)


def test_a_run_is_never_good_with_something_missing() -> None:
    assert code_of_run(3, []) == ExitCode.OK
    assert code_of_run(3, [ExitCode.INPUT]) == ExitCode.SOME_FAILED
    assert code_of_run(3, [], left=1) == ExitCode.SOME_FAILED
    assert code_of_run(0, [ExitCode.INPUT, ExitCode.RESOURCES]) == ExitCode.RESOURCES
    assert code_of_run(0, [ExitCode.INPUT]) == ExitCode.INPUT
    assert code_of_run(0, [ExitCode.INTERNAL, ExitCode.INPUT]) == ExitCode.INTERNAL
