"""A call that an interruption of its caller does not break off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

R = TypeVar("R")


class UninterruptedCall(Generic[R]):
    """One call in a thread of its own.

    Python interrupts the main thread wherever it is, also between starting a thread and noting
    that it has started. So not the caller but the thread itself says whether the call was made, and
    whoever calls it off first keeps it from being made.

    Args:
        call: what is called, once at most.
    """

    def __init__(self, call: Callable[[], R]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._made = self._called_off = False
        self._ended = threading.Event()
        self._results: list[R] = []
        self._error: BaseException | None = None

    def _run(self) -> None:
        with self._lock:
            if self._called_off:
                return
            self._made = True
        try:
            self._results.append(self._call())
        except BaseException as error:  # the caller's, who waits for the result
            self._error = error
        finally:
            self._ended.set()

    def result(self) -> R:
        """Make the call and wait for its result; raises what the call raises."""
        threading.Thread(target=self._run, name="uninterrupted", daemon=True).start()
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def call_off(self) -> bool:
        """Keep the call from being made; return whether it was made before, and goes on."""
        with self._lock:
            self._called_off = True
            return self._made and not self._ended.is_set()

    def settled(self) -> R | None:
        """The result, after the end of a call that was made; ``None`` where there is none.

        For a call that was called off or has ended.
        """
        if self._made:
            self._ended.wait()
        return self._results[0] if self._results else None
