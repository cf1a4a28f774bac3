"""Let threads that wait for one another sleep, where PyTorch computes with OpenMP.

PyTorch brings GNU's OpenMP (``libgomp``). Its threads meet thousands of times an image, and one
that waits spins for milliseconds before it sleeps (libgomp manual, "GOMP_SPINCOUNT"). Where another
process needs a core too, the spinning thread takes the core on which the one it waits for could
run: one busy process beside two threads made an image ten times slower
(``python -m tests.benchmarks.waiting_threads``).
"""

from __future__ import annotations

from collections.abc import MutableMapping

_POLICIES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def let_waiting_threads_sleep(environment: MutableMapping[str, str]) -> None:
    """Set OpenMP's wait policy, unless its owner has chosen one.

    For the entry point of a process that runs the networks, before anything imports PyTorch: the
    library reads its variables when it is loaded. Processes that it starts inherit them.

    Args:
        environment: the variables of the process, ``os.environ``, or of one to be started.
    """
    if not any(name in environment for name in _POLICIES):
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
