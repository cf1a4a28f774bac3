"""List prices in US dollars, from one dated table that an operator may override.

The table is ``prices.json`` beside this module; ``SAM_PRICES`` names a file with other values, of
the same form, and need hold only what differs.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
from pathlib import Path
from typing import Any

from scripts.terminal.errors import OperatorError

TABLE = Path(__file__).with_name("prices.json")
VARIABLE = "SAM_PRICES"
HOURS_A_MONTH = 730
_ACCELERATORS = {"NVIDIA_TESLA_T4": "t4", "NVIDIA_L4": "l4"}


@dataclasses.dataclass(frozen=True, slots=True)
class Prices:
    """The table.

    Attributes:
        as_of: its date.
        region: where these prices hold; others differ.
        leaves_out: costs that no figure made of it contains.
        usd: values by name.
    """

    as_of: str
    region: str
    leaves_out: str
    usd: dict[str, float]

    @property
    def basis(self) -> str:
        """What an operator must know beside every figure."""
        return f"list prices of {self.region}, {self.as_of}, US dollars, without {self.leaves_out}"

    def serving_hour(self, machine: str, accelerator: str, count: int) -> float | None:
        """Dollars an hour of a deployed model's replica; ``None`` where the table has no price."""
        return self._hour("serving", machine, accelerator, count)

    def workbench_hour(self, machine: str, accelerator: str, count: int = 1) -> float | None:
        """Dollars an hour of a Workbench that runs, without its disks."""
        return self._hour("compute", machine, accelerator, count)

    def shard_hour(
        self, cpus: float, accelerator: str, count: int, *, spot: bool = False
    ) -> float | None:
        """Dollars an hour of a shard's machine: an N1, or a G2 where it has an L4."""
        name = _ACCELERATORS.get(accelerator, "")
        family = "g2" if name == "l4" else "n1"
        hour = self._hour("pipeline", f"{family}-standard-{cpus:g}", accelerator, count)
        if hour is None or not spot:
            return hour
        return hour * self.usd["spot_share_l4" if name == "l4" else "spot_share"]

    def _hour(self, kind: str, machine: str, accelerator: str, count: int) -> float | None:
        whole = self.usd.get(f"{kind}_{machine}_hour")
        if whole is not None:  # the machine's price has its accelerator in it
            return whole
        sized = re.fullmatch(r"n1-(?:standard|highmem|highcpu)-(\d+)", machine)
        core = self.usd.get(f"{kind}_n1_vcpu_hour")
        if sized is None or core is None:
            return None
        price = int(sized[1]) * core
        if accelerator:
            name = _ACCELERATORS.get(accelerator)
            extra = self.usd.get(f"{kind}_{name}_hour")
            if extra is None:
                return None
            price += count * extra
        return price


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        values = content.get("usd", {})
        content["usd"] = {
            name: float(value["value"] if isinstance(value, dict) else value)
            for name, value in values.items()
        }
        if min([*content["usd"].values(), 0.0]) < 0:
            raise ValueError("a price is negative")
        return content
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OperatorError(
            f"the table of prices {path} cannot be used: {error}",
            hint=f"its form is that of {TABLE}; unset {VARIABLE} for the built-in one",
        ) from error


@functools.cache
def _table(path: str) -> Prices:
    content = _read(TABLE)
    if path:
        own = _read(Path(path))
        usd = {**content["usd"], **own.pop("usd", {})}
        content = {**content, "as_of": f"your table {Path(path).name}", **own, "usd": usd}
    return Prices(content["as_of"], content["region"], content["leaves_out"], content["usd"])


def prices() -> Prices:
    """The table with the operator's own values.

    Raises:
        OperatorError: the operator's table cannot be read.
    """
    return _table(os.environ.get(VARIABLE, ""))


def hourly(machine: str, accelerator: str, count: int, replicas: int) -> float | None:
    """Dollars an hour of a deployed model's replicas; ``None`` where the table has no price."""
    price = prices().serving_hour(machine, accelerator, count)
    return None if price is None else replicas * price
