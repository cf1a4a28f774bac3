"""One requirement of the settings, and those that several settings share."""

from __future__ import annotations

import re

from infra.availability import ACCELERATOR_MACHINES
from infra.settings import Settings, SettingsError, listed, variable

_EMAIL = re.compile(r"^[^@\s,]+@[^@\s,]+\.[^@\s,]+$")


def require(condition: object, field: str, problem: str, hint: str) -> None:
    """Refuse the value of a field unless a condition holds.

    Raises:
        SettingsError: naming the field as its environment variable.
    """
    if not condition:
        raise SettingsError(variable(field), problem, hint)


def check_machine(settings: Settings, machine: str, accelerator: str) -> None:
    """Require a known accelerator, on a machine that takes it.

    Args:
        settings: all of them.
        machine: field of the machine type.
        accelerator: field of the accelerator.
    """
    kind, size = getattr(settings, accelerator), getattr(settings, machine)
    if accelerator == "serving_accelerator" and not kind:
        return
    require(
        kind in ACCELERATOR_MACHINES,
        accelerator,
        f"expected an accelerator, got {kind!r}",
        f"known are {', '.join(ACCELERATOR_MACHINES)}"
        + ("; SAM_WORKBENCH=false leaves the Workbench out" if machine.startswith("work") else ""),
    )
    require(
        size in ACCELERATOR_MACHINES[kind],
        machine,
        f"{size!r} takes no {kind}",
        f"machines that do: {', '.join(ACCELERATOR_MACHINES[kind])}",
    )


def check_emails(settings: Settings, field: str) -> None:
    """Require e-mail addresses in a field, commas between several."""
    for email in listed(getattr(settings, field)):
        require(_EMAIL.match(email), field, f"{email!r} is no e-mail address", "name@example.com")
