import os
import signal
import threading

import pytest

from medmamba.stopping import stop_requests


def test_a_signal_is_noted_and_the_process_lives() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as asked:
        assert not asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked
        assert asked.name == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_second_interrupt_is_at_once() -> None:
    with stop_requests() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        assert asked.name == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def run() -> None:
        with stop_requests() as asked:
            seen.append((bool(asked), signal.getsignal(signal.SIGTERM) is before))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(False, True)]
