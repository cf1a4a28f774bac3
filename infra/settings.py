"""The operator's settings and the names that follow from them.

Every setting has one name: ``region`` in the ``context`` of ``cdktf.json`` is ``SAM_REGION`` in the
environment. :mod:`infra.configuration` reads both; :mod:`infra.checks` says which values go
together.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

PREFIX = "SAM_"
STACKS = ("sam-platform", "sam-serving")


class SettingsError(Exception):
    """A setting with a wrong value, or with an unknown name.

    Attributes:
        setting: its name as an environment variable.
        hint: the way out.
    """

    def __init__(self, setting: str, problem: str, hint: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.hint = hint


class Settings(BaseModel):
    """All settings of both stacks; ``project_id`` is the only one without a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project_id: str = Field(description="Google Cloud project that everything is made in")
    region: str = Field("us-west1", description="region of the bucket, the images, the endpoint")
    zone: str = Field("us-west1-b", description="zone of the Workbench; needs T4s")
    prefix: str = Field("sam", description="first part of every name")
    state_bucket: str = Field("", description="existing bucket for Terraform's state; empty: local")

    state_folder: str = Field("", description="folder of a local state; empty: the project's")

    force_destroy: bool = Field(
        False, description="destroy deletes your data too, and a key made here"
    )
    run_retention_days: int = Field(0, ge=0, description="age at which run outputs go; 0: never")
    noncurrent_days: int = Field(30, ge=1, description="age at which overwritten objects go")
    soft_delete_days: int = Field(7, ge=0, le=90, description="days to undo a deletion; 0: none")
    log_bucket: str = Field("", description="existing bucket for access logs; empty: no logs")
    bigquery: bool = Field(
        False,
        description="a BigQuery table over all runs' masks, in a data set of its own",
    )
    keep_images: int = Field(
        10, ge=1, description="newest images that clean-up spares; of the others only untagged go"
    )
    untagged_days: int = Field(7, ge=1, description="age at which untagged images go")

    workbench: bool = Field(True, description="a notebook machine with an accelerator; false: none")
    workbench_ssh: bool = Field(False, description="let IAP's SSH into the network made here")
    workbench_machine: str = Field("n1-standard-2", description="machine of the Workbench")
    workbench_accelerator: str = Field("NVIDIA_TESLA_T4", description="GPU of the Workbench")
    workbench_image: str = Field("debian-11", description="debian-11 (to March 2027), debian-12")
    workbench_disk_gb: int = Field(150, ge=150, le=64_000, description="boot disk, GB")
    workbench_owner: str = Field("", description="e-mail of its one user; empty: service account")
    workbench_users: str = Field("", description="without an owner: e-mails that may open it")
    workbench_idle_minutes: int = Field(60, ge=10, le=1440, description="idle time to shutdown")
    workbench_public_ip: bool = Field(False, description="give the Workbench a public address")
    network: str = Field("", description="existing VPC, projects/P/global/networks/N; empty: new")
    subnet: str = Field("", description="its subnet, projects/P/regions/R/subnetworks/S")
    nat: Literal["", "create", "existing"] = Field(
        "", description="with an existing network: create a Cloud NAT, or one is there"
    )
    repository_url: str = Field(
        "", description="what the Workbench clones, https://...; empty: nothing"
    )
    repository_ref: str = Field("main", description="branch or tag that it clones")

    cmek: bool = Field(False, description="encrypt everything with a key of your own")
    kms_key: str = Field("", description="existing key; empty with SAM_CMEK: a new ring and key")
    kms_key_ring: str = Field("", description="name of the new ring; default {prefix}-keyring")

    monitoring: bool = Field(False, description="dashboard and alerts")
    alert_email: str = Field("", description="e-mails that alerts go to, with commas")
    workbench_max_hours: int = Field(12, ge=1, description="alert after this running time")
    budget: int = Field(0, ge=0, description="monthly budget in whole units of currency; 0: none")
    budget_currency: str = Field("USD", pattern="^[A-Z]{3}$", description="the account's currency")
    billing_account: str = Field(
        "", description="billing account of the budget, XXXXXX-XXXXXX-XXXXXX"
    )

    endpoint_id: str = Field("", description="stable id of the endpoint; default {prefix}-endpoint")
    endpoint_type: Literal["dedicated", "shared"] = Field(
        "dedicated", description="dedicated (10 MB replies) or shared (1.5 MB)"
    )
    request_logging: str = Field(
        "", description="BigQuery table for payloads, bq://P.D.T; before the first deploy"
    )
    request_logging_rate: float = Field(0.1, gt=0, le=1, description="share of requests logged")
    image: str = Field("", description="serving image by digest; empty: an endpoint without model")
    checkpoint: str = Field("", description="gs:// checkpoint file, or folder with one")
    serving_machine: str = Field("n1-standard-4", description="machine of a replica")
    serving_accelerator: str = Field("NVIDIA_TESLA_T4", description="of each replica; empty: none")
    serving_family: Literal["", "sam", "medsam", "mobile_sam"] = Field(
        "", description="family of the checkpoint's network; empty: what its weights say"
    )
    serving_precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto, fp32 (exact), bf16 or fp16"
    )
    serving_target: int = Field(
        60, ge=10, le=95, description="load (%) at which replicas are added"
    )
    serving_spot: bool = Field(False, description="preemptible replicas, at about half the price")
    serving_in_place: bool = Field(
        False, description="one accelerator is enough, with an outage at every release"
    )
    min_replicas: int = Field(1, ge=1, description="replicas kept up")
    max_replicas: int = Field(1, ge=1, description="replicas under load")

    @property
    def bucket_name(self) -> str:
        """Name of the bucket. Names are global: ``a-b`` with prefix ``c`` is ``a`` with ``b-c``."""
        return f"{self.project_id}-{self.prefix}"

    @property
    def key_ring_name(self) -> str:
        """Name of the new key ring, for a platform without an existing key."""
        return self.kms_key_ring or f"{self.prefix}-keyring"

    @property
    def encryption_key(self) -> str | None:
        """Full name of the key that encrypts everything; ``None`` without CMEK."""
        if not self.cmek:
            return None
        ring = f"projects/{self.project_id}/locations/{self.region}/keyRings/{self.key_ring_name}"
        return self.kms_key or f"{ring}/cryptoKeys/{self.prefix}-key"

    @property
    def makes_nat(self) -> bool:
        """Whether the stack makes a Cloud NAT, as it does in a network of its own."""
        return self.nat == "create" or not self.network

    @property
    def endpoint_name(self) -> str:
        """Id of the endpoint."""
        return self.endpoint_id or f"{self.prefix}-endpoint"

    @property
    def model_id(self) -> str:
        """Id of the model whose versions the endpoint serves."""
        return f"{self.prefix}-segment-anything"

    @property
    def users(self) -> tuple[str, ...]:
        """E-mails that may use the Workbench in service-account mode."""
        return listed(self.workbench_users)

    @property
    def alert_emails(self) -> tuple[str, ...]:
        """E-mails that alerts and budget notices go to."""
        return listed(self.alert_email)

    def service_account(self, purpose: str) -> str:
        """E-mail of one of our service accounts."""
        return f"{self.prefix}-{purpose}@{self.project_id}.iam.gserviceaccount.com"


def state_file(settings: Settings, stack: str) -> str:
    """Name of a stack's local state, which no other project or prefix shares."""
    return f"terraform.{settings.project_id}.{settings.prefix}.{stack}.tfstate"


def state_prefix(settings: Settings) -> str:
    """Where in the state bucket this platform's states lie, with a slash at the end."""
    return f"{settings.project_id}/{settings.prefix}/"


def variable(field: str) -> str:
    """Environment variable of a setting."""
    return PREFIX + field.upper()


def listed(text: str) -> tuple[str, ...]:
    """The items of a comma-separated setting."""
    return tuple(item.strip() for item in text.split(",") if item.strip())
