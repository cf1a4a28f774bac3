"""Which values of the settings go together. A check names the setting, the problem, the way out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from infra.places import ACCELERATOR_MACHINES, WORKBENCH_IMAGES, t4_zones

if TYPE_CHECKING:
    from infra.settings import Settings

LONGEST_PREFIX = 18  # "{prefix}-checkpoints" must fit a service account's 30 characters
_EMAIL = re.compile(r"^[^@\s,]+@[^@\s,]+\.[^@\s,]+$")


class Refused(ValueError):
    """A value that pydantic cannot judge alone; ``ValueError`` is what it lets a check raise."""

    def __init__(self, field: str, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.field, self.problem, self.hint = field, problem, hint


def _require(good: object, field: str, problem: str, hint: str) -> None:
    if not good:
        raise Refused(field, problem, hint)


def listed(text: str) -> tuple[str, ...]:
    """The items of a comma-separated setting."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _names(s: Settings) -> None:
    _require(
        re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", s.project_id),
        "project_id",
        f"expected 6-30 lower-case letters, digits and hyphens, got {s.project_id!r}",
        "take the project's id, not its name or number: gcloud projects list",
    )
    _require(
        re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", s.prefix) and len(s.prefix) <= LONGEST_PREFIX,
        "prefix",
        f"expected a lower-case word of at most {LONGEST_PREFIX} characters, got {s.prefix!r} "
        f"({len(s.prefix)})",
        "service accounts are named {prefix}-{purpose} and may have 30 characters",
    )
    _require(
        len(s.bucket_name) <= 63,
        "prefix",
        f"the bucket would be named {s.bucket_name!r}, {len(s.bucket_name)} characters of 63",
        "choose a shorter prefix",
    )
    for field in ("state_bucket", "log_bucket"):
        name = getattr(s, field)
        _require(
            not name or re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", name),
            field,
            f"expected the name of a bucket (3-63 characters, no gs://), got {name!r}",
            "give the name alone",
        )
    _require(
        not (s.state_bucket and s.state_folder),
        "state_folder",
        "conflicts with SAM_STATE_BUCKET",
        "the state lies in a bucket or in a folder; unset one of the two",
    )
    _require(
        s.soft_delete_days == 0 or s.soft_delete_days >= 7,
        "soft_delete_days",
        f"expected 0 or 7-90, got {s.soft_delete_days}",
        "Cloud Storage keeps deleted objects at least 7 days, or not at all with 0",
    )


def _places(s: Settings) -> None:
    _require(
        re.fullmatch(r"[a-z]+-[a-z]+\d+", s.region),
        "region",
        f"expected a region like us-west1, got {s.region!r}",
        "gcloud compute regions list",
    )
    _require(
        re.fullmatch(re.escape(s.region) + "-[a-z]", s.zone),
        "zone",
        f"{s.zone!r} is not a zone of the region {s.region!r}",
        f"set SAM_ZONE to one of {', '.join(t4_zones(s.region)) or 'its zones'}",
    )
    if s.workbench_accelerator == "NVIDIA_TESLA_T4":
        zones = t4_zones(s.region)
        _require(
            s.zone in zones,
            "zone",
            f"{s.zone!r} has no T4s",
            f"zones with T4s in {s.region}: {', '.join(zones) or 'none; try us-west1'}",
        )


def _machine(s: Settings, machine: str, accelerator: str) -> None:
    kind, size = getattr(s, accelerator), getattr(s, machine)
    if accelerator == "serving_accelerator" and not kind:
        return
    _require(
        kind in ACCELERATOR_MACHINES,
        accelerator,
        f"unknown accelerator {kind!r}",
        f"known: {', '.join(ACCELERATOR_MACHINES)}",
    )
    _require(
        size in ACCELERATOR_MACHINES[kind],
        machine,
        f"{size!r} takes no {kind}",
        f"machines that do: {', '.join(ACCELERATOR_MACHINES[kind])}",
    )


def _emails(s: Settings, field: str) -> None:
    for email in listed(getattr(s, field)):
        _require(_EMAIL.match(email), field, f"{email!r} is no e-mail address", "name@example.com")


def _workbench(s: Settings) -> None:
    _machine(s, "workbench_machine", "workbench_accelerator")
    _require(
        s.workbench_image in WORKBENCH_IMAGES,
        "workbench_image",
        f"unknown image {s.workbench_image!r}",
        f"known: {', '.join(WORKBENCH_IMAGES)}",
    )
    _require(
        not s.repository_url or re.fullmatch(r"https://[^\s]+", s.repository_url),
        "repository_url",
        f"expected https://..., got {s.repository_url!r}",
        "the Workbench clones without credentials, so the repository must be public or mirrored",
    )
    for field in ("workbench_owner", "workbench_users"):
        _emails(s, field)
    _require(
        len(listed(s.workbench_owner)) <= 1,
        "workbench_owner",
        "a Workbench has one owner at most",
        "leave it empty and list the people in SAM_WORKBENCH_USERS",
    )
    _require(
        not (s.workbench_owner and s.workbench_users),
        "workbench_users",
        "conflicts with SAM_WORKBENCH_OWNER: a single-owner Workbench has no other users",
        "set one of the two",
    )
    _require(
        bool(s.network) == bool(s.subnet),
        "subnet" if s.network else "network",
        "SAM_NETWORK and SAM_SUBNET go together",
        "set both to use an existing network, or neither to have one made with its NAT",
    )
    _require(
        not s.subnet or f"/regions/{s.region}/subnetworks/" in s.subnet,
        "subnet",
        f"expected projects/P/regions/{s.region}/subnetworks/S, got {s.subnet!r}",
        "the subnet lies in SAM_REGION and is named in full",
    )
    _require(
        not s.network or "/global/networks/" in s.network,
        "network",
        f"expected projects/P/global/networks/N, got {s.network!r}",
        "name the network in full",
    )
    _require(
        not s.nat or s.network,
        "nat",
        "is only for an existing network; the network made here has its own",
        "set SAM_NETWORK and SAM_SUBNET too, or leave SAM_NAT empty",
    )
    _require(
        s.workbench_public_ip or not s.network or s.nat,
        "nat",
        "a Workbench without public address needs a NAT to clone its repository",
        "SAM_NAT=existing if the subnet has one, SAM_NAT=create, or SAM_WORKBENCH_PUBLIC_IP=true",
    )


def _encryption(s: Settings) -> None:
    _require(
        s.cmek or not (s.kms_key or s.kms_key_ring),
        "cmek",
        "is off, but a key or key ring is named",
        "set SAM_CMEK=true, or leave SAM_KMS_KEY and SAM_KMS_KEY_RING empty",
    )
    _require(
        not (s.kms_key and s.kms_key_ring),
        "kms_key_ring",
        "conflicts with SAM_KMS_KEY: a ring is made only for a new key",
        "set one of the two",
    )
    expected = rf"projects/[^/]+/locations/{re.escape(s.region)}/keyRings/[^/]+/cryptoKeys/[^/]+"
    _require(
        not s.kms_key or re.fullmatch(expected, s.kms_key),
        "kms_key",
        f"expected projects/P/locations/{s.region}/keyRings/R/cryptoKeys/K, got {s.kms_key!r}",
        "one key of the same region serves bucket, repository, Workbench and endpoint",
    )


def _alerts(s: Settings) -> None:
    _emails(s, "alert_email")
    _require(
        s.monitoring or not s.alert_email or s.budget,
        "alert_email",
        "nothing sends alerts",
        "set SAM_MONITORING=true or SAM_BUDGET as well",
    )
    _require(
        not s.budget or re.fullmatch(r"[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}", s.billing_account),
        "billing_account",
        f"a budget needs the billing account, XXXXXX-XXXXXX-XXXXXX, got {s.billing_account!r}",
        "gcloud billing accounts list",
    )
    _require(
        len(listed(s.alert_email)) <= 5,
        "alert_email",
        "a budget notifies at most 5 addresses",
        "name a mailing list",
    )


def _endpoint(s: Settings) -> None:
    _machine(s, "serving_machine", "serving_accelerator")
    _require(
        re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9]\d{0,8}", s.endpoint_name),
        "endpoint_id",
        f"expected a letter-first slug or 1-9 digits, got {s.endpoint_name!r}",
        "ids are stable: changing one replaces the endpoint",
    )
    _require(
        s.max_replicas >= s.min_replicas,
        "max_replicas",
        f"{s.max_replicas} is below SAM_MIN_REPLICAS={s.min_replicas}",
        "raise it, or lower the other",
    )
    private = s.endpoint_type == "private"
    _require(
        private == bool(listed(s.private_projects)),
        "private_projects",
        "goes with SAM_ENDPOINT_TYPE=private, and only with it",
        "list the projects that may connect, or choose dedicated or shared",
    )
    _require(
        not s.request_logging or re.fullmatch(r"bq://[\w-]+(\.\w+(\.\w+)?)?", s.request_logging),
        "request_logging",
        f"expected bq://project.dataset.table, got {s.request_logging!r}",
        "the dataset exists, the table does not",
    )
    _require(
        not (private and s.request_logging),
        "request_logging",
        "is not offered by a private endpoint",
        "leave it empty, or choose dedicated or shared",
    )
    _require(
        bool(s.image) == bool(s.checkpoint),
        "checkpoint" if s.image else "image",
        "SAM_IMAGE and SAM_CHECKPOINT go together",
        "a model version is one image with one checkpoint",
    )
    host = re.escape(s.region) + r"-docker\.pkg\.dev/"
    _require(
        not s.image or re.match(host + r".+@sha256:[0-9a-f]{64}$", s.image),
        "image",
        f"expected {s.region}-docker.pkg.dev/...@sha256:..., got {s.image!r}",
        "name the image by digest, in a repository of SAM_REGION",
    )
    _require(
        not s.checkpoint or re.fullmatch(r"gs://[a-z0-9][\w.-]+/[\w./-]+", s.checkpoint),
        "checkpoint",
        f"expected gs://bucket/folder or a file there, got {s.checkpoint!r}",
        "sam-vertex checkpoint upload prints it",
    )
    _require(
        not (s.serving_precision == "bf16" and s.serving_accelerator == "NVIDIA_TESLA_T4"),
        "serving_precision",
        "bf16 is not computed by a T4",
        "leave it at auto, or choose fp16 or fp32",
    )


CHECKS = (_names, _places, _workbench, _encryption, _alerts, _endpoint)
