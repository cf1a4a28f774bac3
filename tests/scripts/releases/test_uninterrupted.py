"""A call is made once and its result is known, or it is not made at all."""

from __future__ import annotations

import threading

import pytest

from scripts.releases.uninterrupted import UninterruptedCall


def test_result_is_that_of_the_call() -> None:
    assert UninterruptedCall(lambda: 7).result() == 7


def test_error_is_that_of_the_call() -> None:
    with pytest.raises(ZeroDivisionError):
        UninterruptedCall(lambda: 1 // 0).result()


def test_call_that_was_called_off_before_it_began_is_never_made() -> None:
    made: list[int] = []
    call = UninterruptedCall(lambda: made.append(1))
    assert not call.call_off()
    call._run()  # its thread comes too late
    assert call.settled() is None and not made


def test_call_that_goes_on_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    call = UninterruptedCall(lambda: go_on.wait(60))
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        while not call._made:
            pass
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call.result()
    assert call.call_off()
    go_on.set()
    assert call.settled() is True
