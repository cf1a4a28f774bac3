"""How PyTorch's threads share a machine with other processes.

PyTorch brings GNU's OpenMP (``libgomp``). Its threads meet thousands of times an image, and one
that waits spins for milliseconds before it sleeps (libgomp manual, "GOMP_SPINCOUNT"). Where another
process needs a core too, the spinning thread takes the core on which the one it waits for could
run: one busy process beside two threads made an image ten times slower. Threads that sleep at once
(``OMP_WAIT_POLICY=PASSIVE``) bear a busy process, and are twice as slow on an idle machine.
``python -m tests.benchmarks.waiting_threads`` measures all of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, MutableMapping

_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@dataclasses.dataclass(frozen=True, slots=True)
class ThreadPolicy:
    """What threads do while they wait, and how many there are.

    Attributes:
        variables: of OpenMP, which reads them when it is loaded.
        on_free_cores: whether each image takes only as many threads as other processes leave cores.
    """

    variables: Mapping[str, str]
    on_free_cores: bool


SPIN = ThreadPolicy({}, on_free_cores=False)
SLEEP = ThreadPolicy({"OMP_WAIT_POLICY": "PASSIVE"}, on_free_cores=False)
SPIN_ON_FREE_CORES = ThreadPolicy({}, on_free_cores=True)

DEFAULT = SPIN_ON_FREE_CORES


def set_waiting(environment: MutableMapping[str, str]) -> None:
    """Set OpenMP's variables as the default has them, unless their owner has chosen one.

    For the entry point of a process that runs the networks, before anything imports PyTorch: the
    library reads its variables when it is loaded. Processes that it starts inherit them.

    Args:
        environment: the variables of the process, ``os.environ``, or of one to be started.
    """
    if not any(name in environment for name in _VARIABLES):
        environment.update(DEFAULT.variables)
