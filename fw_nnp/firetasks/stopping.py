"""Stop requests: SIGTERM, SIGUSR1 and Ctrl-C end a step in good order, not the worker.

A scheduler sends one of them before it takes the node away. A step either polls the flag
(relabelling, training: they keep what is done) or is broken off by :class:`StopRequested`
(everything else: it is short, and repeated). The Firework is then READY again.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from fw_nnp.workflows.worker import SIGNALS

#: Set once this process has been asked to stop: it takes no further step.
REQUESTED = threading.Event()


class StopRequested(BaseException):
    """Breaks off a step; not an Exception, so that nothing on the way swallows it."""


@contextmanager
def stoppable(*, polled: bool) -> Iterator[Callable[[], bool]]:
    """Run a step under stop signals; yields the flag.

    Parameters
    ----------
    polled
        True: a signal sets the flag that the step asks for. False: a signal raises
        StopRequested in the main thread.
    """
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag.is_set  # signals belong to the main thread; nothing can be requested here
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        flag.set()
        REQUESTED.set()
        previous = before[signal.Signals(number)]
        if callable(previous) and previous is not signal.default_int_handler:
            previous(number, frame)  # the worker loop wants to know, too
        if not polled:
            raise StopRequested

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, on_signal)
    try:
        yield flag.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
