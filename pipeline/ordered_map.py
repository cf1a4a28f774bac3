"""Do several slow things at once, in order, with a bound on the results that wait."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def ordered_map(
    function: Callable[[A], B], items: Iterable[A], workers: int, ahead: int = 0
) -> Iterator[B]:
    """``map`` with threads: yields results in order, and computes at most ``ahead`` of the caller.

    Args:
        function: what to do with each item; its exception is raised where its result would be.
        items: the iterable advances only as results are needed.
        workers: threads; with one and nothing ahead, everything happens in the caller's own.
        ahead: results that may wait; at least ``workers`` where there are several.
    """
    if workers <= 1 and not ahead:
        yield from map(function, items)
        return
    waiting: collections.deque[Future[B]] = collections.deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ahead")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > max(ahead, workers):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
