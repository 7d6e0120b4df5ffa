"""Both signals of a scheduler ask a step to stop, and only for as long as the step runs."""

from __future__ import annotations

import os
import signal

import pytest

from fw_nnp.firetasks.stopping import REQUESTED, StopRequested, stoppable


@pytest.fixture(autouse=True)
def forgotten():
    yield
    REQUESTED.clear()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_polled_step_is_told(number):
    before = signal.getsignal(number)
    with stoppable(polled=True) as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
    assert REQUESTED.is_set()
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_any_other_step_is_broken_off(number):
    with pytest.raises(StopRequested), stoppable(polled=False):
        os.kill(os.getpid(), number)
    assert REQUESTED.is_set()
