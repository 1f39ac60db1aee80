import errno
import pickle

from medmamba.errors import DataError
from medmamba.predict.batch.failures import BatchError, reason


def test_the_first_failures_are_named() -> None:
    error = BatchError([], {f"c{number}": "is bad" for number in range(9)})
    assert str(error) == (
        "9 of 9 cases failed: c0: is bad; c1: is bad; c2: is bad; c3: is bad; c4: is bad; and 4 more. "
        "0 predictions were written."
    )
    assert len(BatchError([], dict.fromkeys("abcdef", "x")).failures) == 6
    assert "more" not in str(BatchError([], dict.fromkeys("abcdef", "x")))


def test_reasons_are_sentences() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert reason(full) == "the disk is full"
    wrapped = RuntimeError("could not write")
    wrapped.__cause__ = full
    assert reason(wrapped) == "the disk is full"
    assert reason(MemoryError()) == "there was not enough memory"
    assert reason(KeyError("x")) == "KeyError: 'x'"
    assert reason(ValueError()) == "ValueError"
    assert reason(DataError("It is bad.", "Mend it.")) == "It is bad. Mend it"


def test_errors_of_the_family_can_be_sent_to_other_processes() -> None:
    again = pickle.loads(pickle.dumps(DataError("It is bad.", "Mend it.")))
    assert (again.problem, again.remedy) == ("It is bad.", "Mend it.")
