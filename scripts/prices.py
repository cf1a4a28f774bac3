"""List prices of online prediction, US dollars an hour, before discounts.

Agent Platform pricing page, us-central1, 2026-10-04; N1 machines are priced by vCPU and memory, so
the other sizes follow from n1-standard-4. Other regions differ.
"""

from __future__ import annotations

import re

AS_OF = "2026-10-04, us-central1"
N1_VCPU_HOUR = 0.219 / 4
MACHINES = {"g2-standard-4": 0.81293, "g2-standard-8": 0.98181}  # with their L4
ACCELERATORS = {"NVIDIA_TESLA_T4": 0.42, "NVIDIA_L4": 0.0}


def hourly(machine: str, accelerator: str, count: int, replicas: int) -> float | None:
    """What so many replicas cost an hour; ``None`` where no price is known."""
    sized = re.fullmatch(r"n1-standard-(\d+)", machine)
    price = int(sized[1]) * N1_VCPU_HOUR if sized else MACHINES.get(machine)
    if price is None or (accelerator and accelerator not in ACCELERATORS):
        return None
    return replicas * (price + count * ACCELERATORS.get(accelerator, 0.0))
