import mmap

from medmamba.predict.peak import PeakMemory


def test_memory_that_was_given_back_is_seen() -> None:
    with PeakMemory() as calm:
        pass
    # Fresh pages: an array may be given what the heap still holds.
    with PeakMemory() as peak, mmap.mmap(-1, 2**26) as pages:
        for _ in range(20):
            pages.write(b"1" * 2**26)
            pages.seek(0)
    assert peak.bytes - calm.bytes > 0.8 * 2**26
