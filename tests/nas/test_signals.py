"""A request to stop: the first signal is noted, the second interrupts, and the handlers are put back."""

import signal

import pytest

from nas.signals import STOPPING, stop_request


@pytest.mark.parametrize("number", STOPPING)
def test_the_first_asks_and_the_second_interrupts(number: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in STOPPING}
    with stop_request() as request:
        assert not request.asked
        signal.raise_signal(number)
        assert request.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert {each: signal.getsignal(each) for each in STOPPING} == before
