"""Which values of the settings go together. A check names the setting, the problem, the way out."""

from __future__ import annotations

from infra.checks.endpoint import check_endpoint
from infra.checks.project import check_alerts, check_encryption, check_location, check_names
from infra.checks.workbench import check_workbench
from infra.settings import Settings

_CHECKS = (
    check_names,
    check_location,
    check_workbench,
    check_encryption,
    check_alerts,
    check_endpoint,
)


def checked(settings: Settings) -> Settings:
    """Return the settings, unless values among them do not go together.

    Raises:
        SettingsError: naming the first setting that is at fault.
    """
    for check in _CHECKS:
        check(settings)
    return settings
