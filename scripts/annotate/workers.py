"""Threads that compute for the page, one thing after another each."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


class Worker:
    """One thread, which ends with the process whatever it is at.

    A ``ThreadPoolExecutor`` would be waited for at the end of the process, and everything in a
    large image may take minutes.

    Args:
        name: of the thread.

    Attributes:
        is_busy: whether it computes now.
    """

    def __init__(self, name: str) -> None:
        self.is_busy = False
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        while True:
            work = self._work.get()
            self.is_busy = True
            work()
            self.is_busy = False

    async def __call__(self, work: Callable[[], Result]) -> Result:
        """Let the thread do something after all that it has been given before.

        Raises:
            Exception: what the work raises.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def settle(settled: Callable[[Any], None], value: Any) -> None:
            def tell() -> None:
                if not future.done():  # whoever asked may have gone
                    settled(value)

            with contextlib.suppress(RuntimeError):  # the loop may have ended
                loop.call_soon_threadsafe(tell)

        def done() -> None:
            if future.cancelled():
                return
            try:
                result = work()
            except Exception as error:
                settle(future.set_exception, error)
            else:
                settle(future.set_result, result)

        self._work.put(done)
        return await future
