from __future__ import annotations

import signal

import pytest

from fnevr.train.interrupt import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_interrupts(number):
    before = signal.getsignal(number)
    with stop_on_signals() as should_stop:
        assert not should_stop()
        signal.raise_signal(number)
        assert should_stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) == before
