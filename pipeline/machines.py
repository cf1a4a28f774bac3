"""What the steps of the graph ask for: machines, accelerators, and how they are reserved."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

from pipeline.run.parameters import RunError

Capacity = Literal["standard", "spot", "flex"]
CAPACITIES: tuple[Capacity, ...] = get_args(Capacity)
T4, L4 = "NVIDIA_TESLA_T4", "NVIDIA_L4"
_FAMILIES = {"": "n1-standard", T4: "n1-standard", L4: "g2-standard"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What one step of the graph asks for.

    The defaults with a T4 fit an n1-standard-4 (4 vCPUs, 15 GB), with an L4 a g2-standard-4 (4
    vCPUs, 16 GB); Vertex takes the closest machine that has them.

    Attributes:
        cpu: limit, in cores.
        memory: limit, with its unit.
        accelerator: Vertex's name of it; empty for none.
        accelerators: how many.
        capacity: ``standard``; ``spot``, which costs less and may be taken away at any time; or
            ``flex``, which waits until there is room.

    Raises:
        RunError: the accelerator is not offered with that capacity, or not known.
    """

    cpu: str = "4"
    memory: str = "15G"
    accelerator: str = ""
    accelerators: int = 1
    capacity: Capacity = "standard"

    def __post_init__(self) -> None:
        if self.capacity == "standard":
            return
        if self.accelerator not in _FAMILIES:
            raise RunError(
                f"--capacity {self.capacity}: no machine type is known with {self.accelerator}; "
                f"expected {T4} or {L4}"
            )
        # "Schedule training jobs based on resource availability", Requirements: "requests L4, A100,
        # H100, H200, or B200 GPUs".
        if self.capacity == "flex" and self.accelerator != L4:
            wanted = self.accelerator or "machines without a GPU"
            raise RunError(
                f"--capacity flex: Google offers it with L4, A100 and larger GPUs, not with "
                f"{wanted}; use --accelerator {L4}, or --capacity spot"
            )

    @property
    def machine_type(self) -> str:
        """The type of machine that has all of it."""
        return f"{_FAMILIES.get(self.accelerator, 'n1-standard')}-{self.cpu}"

    def applied_to(self, task: Any) -> Any:
        """Set the limits of a task."""
        task.set_cpu_limit(self.cpu).set_memory_limit(self.memory)
        if self.accelerator:
            task.set_accelerator_type(self.accelerator)
            task.set_accelerator_limit(self.accelerators)
        return task


GPU = Machine(accelerator=T4)
COORDINATOR = Machine(cpu="2", memory="8G")
