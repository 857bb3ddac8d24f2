"""A request to stop: the first signal is noted, the second interrupts, and the handlers are put back."""

import os
import signal

import pytest

from nas.signals import STOPPING, handling, stop_request


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_asks_and_the_second_interrupts(number: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in STOPPING}
    with stop_request() as request:
        assert not request.asked
        signal.raise_signal(number)
        assert request.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert {each: signal.getsignal(each) for each in STOPPING} == before


def test_a_terminal_and_its_shell_that_both_hang_up_ask_once() -> None:
    with stop_request() as request:
        for _ in range(3):
            signal.raise_signal(signal.SIGHUP)
        assert request.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_under_nohup_a_hangup_is_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_request() as request:
            signal.raise_signal(signal.SIGHUP)
            assert not request.asked
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_is_said_to_a_terminal_that_hung_up_goes_nowhere() -> None:
    kept = os.dup(2)
    controlling, terminal = os.openpty()
    try:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(controlling)
        with pytest.raises(OSError, match="Input/output error"):
            os.write(2, b"said before")
        with handling({signal.SIGHUP: lambda number, frame: None}):
            signal.raise_signal(signal.SIGHUP)
        os.write(2, b"said after")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
