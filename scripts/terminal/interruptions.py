"""Ctrl-C and SIGTERM: the first lets a command clean up, a second one ends it at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

INTERRUPTED = 130  # exit code
INTERRUPTED_HINT = "run the same command again: it goes on where it stopped"
NOT_RESUMED = "run the same command again: it begins anew"
# A wrapper (make, uv, npm) passes on the signal that a terminal has sent to its whole group, so one
# Ctrl-C may come twice.
_SAME_SECONDS = 0.5
_LEAVING = (
    f"error: interrupted again: left before everything was cleaned up\nhint: {INTERRUPTED_HINT}\n"
)
_SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides it


class _Interruptions:
    """Handler of both signals."""

    def __init__(self) -> None:
        self._first: float | None = None

    def __call__(self, _number: int, _frame: object) -> None:
        if self._first is None:
            self._first = time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - self._first > _SAME_SECONDS:
            self._leave()

    def _leave(self) -> None:
        """End the process without another word of its threads, exit handlers and buffers."""
        text = (_SHOW_CURSOR if sys.stderr.isatty() else "") + _LEAVING
        with contextlib.suppress(OSError):
            os.write(2, text.encode())
        os._exit(INTERRUPTED)


def end_at_once() -> None:
    """Let Ctrl-C end the process, which has nothing to clean up yet, without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not behind nohup
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt_again() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, as Python has it, after :func:`end_at_once`."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block at the first Ctrl-C or SIGTERM, and only then."""
    if threading.current_thread() is not threading.main_thread():  # which has the handlers
        yield
        return
    handler = _Interruptions()
    earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, value in earlier.items():
        if number == signal.SIGTERM or value is not signal.SIG_IGN:  # as behind nohup
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, value in earlier.items():
            signal.signal(number, value)
