"""Checks of what both stacks share: names, region and zone, encryption, alerts."""

from __future__ import annotations

import re

from infra.availability import t4_zones
from infra.checks.requirement import check_emails, require
from infra.settings import Settings, listed

LONGEST_PREFIX = 18  # "{prefix}-checkpoints" must fit a service account's 30 characters


def check_names(settings: Settings) -> None:
    """Require names that Google Cloud accepts, and a single location of the state."""
    require(
        re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", settings.project_id),
        "project_id",
        f"expected 6-30 lower-case letters, digits and hyphens, got {settings.project_id!r}",
        "take the project's id, not its name or number: gcloud projects list",
    )
    require(
        re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", settings.prefix)
        and len(settings.prefix) <= LONGEST_PREFIX,
        "prefix",
        f"expected a lower-case word of at most {LONGEST_PREFIX} characters, "
        f"got {settings.prefix!r} ({len(settings.prefix)})",
        "service accounts are named {prefix}-{purpose} and may have 30 characters",
    )
    for field in ("state_bucket", "log_bucket"):
        name = getattr(settings, field)
        require(
            not name or re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", name),
            field,
            f"expected the name of a bucket (3-63 characters, no gs://), got {name!r}",
            "give the name alone",
        )
    require(
        not (settings.state_bucket and settings.state_folder),
        "state_folder",
        "conflicts with SAM_STATE_BUCKET",
        "the state lies in a bucket or in a folder; unset one of the two",
    )
    require(
        settings.soft_delete_days == 0 or settings.soft_delete_days >= 7,
        "soft_delete_days",
        f"expected 0 or 7-90, got {settings.soft_delete_days}",
        "Cloud Storage keeps deleted objects at least 7 days, or not at all with 0",
    )


def check_location(settings: Settings) -> None:
    """Require a zone of the region, with T4s if there is a Workbench that has one."""
    require(
        re.fullmatch(r"[a-z]+-[a-z]+\d+", settings.region),
        "region",
        f"expected a region like us-west1, got {settings.region!r}",
        "gcloud compute regions list",
    )
    require(
        re.fullmatch(re.escape(settings.region) + "-[a-z]", settings.zone),
        "zone",
        f"{settings.zone!r} is not a zone of the region {settings.region!r}",
        f"set SAM_ZONE to one of {', '.join(t4_zones(settings.region)) or 'its zones'}",
    )
    if settings.workbench and settings.workbench_accelerator == "NVIDIA_TESLA_T4":
        zones = t4_zones(settings.region)
        require(
            settings.zone in zones,
            "zone",
            f"{settings.zone!r} has no T4s",
            f"zones with T4s in {settings.region}: {', '.join(zones) or 'none; try us-west1'}",
        )


def check_encryption(settings: Settings) -> None:
    """Require that a key belongs to SAM_CMEK and to the region."""
    require(
        settings.cmek or not (settings.kms_key or settings.kms_key_ring),
        "cmek",
        "is off, but a key or key ring is named",
        "set SAM_CMEK=true, or leave SAM_KMS_KEY and SAM_KMS_KEY_RING empty",
    )
    require(
        not (settings.kms_key and settings.kms_key_ring),
        "kms_key_ring",
        "conflicts with SAM_KMS_KEY: a ring is made only for a new key",
        "set one of the two",
    )
    expected = (
        rf"projects/[^/]+/locations/{re.escape(settings.region)}/keyRings/[^/]+/cryptoKeys/[^/]+"
    )
    require(
        not settings.kms_key or re.fullmatch(expected, settings.kms_key),
        "kms_key",
        f"expected projects/P/locations/{settings.region}/keyRings/R/cryptoKeys/K, "
        f"got {settings.kms_key!r}",
        "one key of the same region serves bucket, repository, Workbench and endpoint",
    )


def check_alerts(settings: Settings) -> None:
    """Require a sender and addresses of alerts, and the account of a budget."""
    check_emails(settings, "alert_email")
    require(
        settings.monitoring or not settings.alert_email or settings.budget,
        "alert_email",
        "nothing sends alerts",
        "set SAM_MONITORING=true or SAM_BUDGET as well",
    )
    require(
        not settings.budget
        or re.fullmatch(r"[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}", settings.billing_account),
        "billing_account",
        f"a budget needs the billing account, XXXXXX-XXXXXX-XXXXXX, "
        f"got {settings.billing_account!r}",
        "gcloud billing accounts list",
    )
    require(
        len(listed(settings.alert_email)) <= 5,
        "alert_email",
        "a budget notifies at most 5 addresses",
        "name a mailing list",
    )
