import numpy as np

from medmamba.predict.peak import PeakMemory


def test_memory_that_was_given_back_is_seen() -> None:
    with PeakMemory() as calm:
        pass
    with PeakMemory() as peak:
        values = np.ones(2**26, np.uint8)
        for _ in range(20):
            values += 1
        del values
    assert peak.bytes - calm.bytes > 0.8 * 2**26
