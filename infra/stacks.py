"""The two stacks: the platform, deployed once, and the endpoint with its model."""

from __future__ import annotations

from cdktf import App, GcsBackend, LocalBackend, TerraformOutput, TerraformStack
from cdktf_cdktf_provider_google.data_google_project import DataGoogleProject
from cdktf_cdktf_provider_google.provider import GoogleProvider

from infra.budget import Budget
from infra.destroy import DestroyGuard, DestroyReport
from infra.encryption import Encryption
from infra.endpoint import REPLY_LIMIT_BYTES, TIMEOUT_SECONDS, Endpoint
from infra.identity import Identities, purposes
from infra.model import Model
from infra.monitoring import Channels, Monitoring
from infra.network import Network
from infra.registry import Registry
from infra.release_checks import ReleaseChecks
from infra.results_table import ResultsTable
from infra.service_agents import ServiceAgents
from infra.services import Services
from infra.settings import STACKS, Settings, state_file, state_prefix
from infra.storage import CHECKPOINTS, IMAGES, PIPELINE, PREDICTIONS, Storage
from infra.workbench import DATA_DISK_GB, Workbench

PLATFORM, SERVING = STACKS


class _Stack(TerraformStack):
    """A stack with its provider, its state, and outputs under the names given."""

    def __init__(self, scope: App, id_: str, settings: Settings) -> None:
        super().__init__(scope, id_)
        GoogleProvider(
            self,
            "google",
            project=settings.project_id,
            region=settings.region,
            zone=settings.zone,
        )
        if settings.state_bucket:
            GcsBackend(self, bucket=settings.state_bucket, prefix=state_prefix(settings) + id_)
        else:
            # Relative to the stack's folder, so that the synthesized files name no machine's paths.
            folder = settings.state_folder or "../../.."
            LocalBackend(self, path=f"{folder}/{state_file(settings, id_)}")

    def publish(self, outputs: dict[str, object]) -> None:
        """Make values outputs of the stack; ``scripts`` reads them from ``--outputs-file``."""
        for name, value in outputs.items():
            TerraformOutput(self, name, value=value)


class PlatformStack(_Stack):
    """APIs, bucket and folders, registry, identities, Workbench, encryption, monitoring."""

    def __init__(self, scope: App, settings: Settings) -> None:
        super().__init__(scope, PLATFORM, settings)
        report = DestroyReport(self, "destroy-report", settings=settings)
        services = Services(self, "services", settings=settings, after=[report.resource])
        after: list[object] = [*services.enabled]
        ready = after
        project = DataGoogleProject(self, "project", project_id=settings.project_id)
        agents = ServiceAgents(self, "agents", settings=settings, project=project, after=after)
        if settings.cmek:
            encryption = Encryption(
                self, "encryption", settings=settings, agents=agents, after=after
            )
            ready = [*after, *encryption.ready]
        key = settings.encryption_key
        storage = Storage(self, "storage", settings=settings, kms_key=key, after=ready)
        registry = Registry(self, "registry", settings=settings, kms_key=key, after=ready)
        identities = Identities(
            self,
            "identities",
            settings=settings,
            storage=storage,
            registry=registry,
            agents=agents,
            after=after,
        )
        results = None
        if settings.bigquery:
            results = ResultsTable(self, "results", settings=settings, storage=storage, after=after)
        # Of the two guards the first is there even where the Workbench finds no quota or no stock.
        bucket, table = storage.bucket, results.within_project if results else ""
        DestroyGuard(self, "destroy-guard", settings=settings, bucket=bucket, table=table)
        workbench = None
        if settings.workbench:
            network = Network(self, "network", settings=settings, after=after)
            workbench = Workbench(
                self,
                "workbench",
                settings=settings,
                storage=storage,
                network=network,
                service_account=settings.service_account("workbench"),
                kms_key=key,
                after=[*ready, *identities.workbench_ready],
            )
        channels = Channels(self, "channels", settings=settings, after=after)
        if settings.monitoring:
            Monitoring(self, "monitoring", settings=settings, channels=channels, after=after)
        if settings.budget:
            Budget(
                self,
                "budget",
                settings=settings,
                project_number=project.number,
                channels=channels,
                after=after,
            )
        DestroyGuard(self, "destroy-guard-of-all", settings=settings, bucket=bucket, table=table)
        uri = f"gs://{settings.bucket_name}"
        self.publish(
            {
                "project_id": settings.project_id,
                "region": settings.region,
                "bucket_name": storage.bucket.name,
                "checkpoint_uri": f"{uri}/{CHECKPOINTS}",
                "images_uri": f"{uri}/{IMAGES}",
                "pipeline_uri": f"{uri}/{PIPELINE}",
                "registry_uri": registry.uri,
                "service_accounts": {
                    purpose: settings.service_account(purpose) for purpose in purposes(settings)
                },
                **_workbench_outputs(settings, workbench),
                "kms_key": key or "",
                "masks_table": results.name if results else "",
            }
        )


def _workbench_outputs(settings: Settings, workbench: Workbench | None) -> dict[str, object]:
    """What the scripts know of the Workbench; empty without one."""
    shape = {
        "machine": settings.workbench_machine,
        "accelerator": settings.workbench_accelerator,
        "disk_gb": settings.workbench_disk_gb + DATA_DISK_GB,
        "nat": settings.makes_nat,
    }
    return {
        "workbench_name": workbench.instance.name if workbench else "",
        "workbench_zone": settings.zone if workbench else "",
        "workbench_proxy_uri": workbench.instance.proxy_uri if workbench else "",
        "workbench_shape": shape if workbench else {},
        "startup_status_uri": workbench.status_uri if workbench else "",
    }


class ServingStack(_Stack):
    """The endpoint, and the model on it."""

    def __init__(self, scope: App, settings: Settings) -> None:
        super().__init__(scope, SERVING, settings)
        checks = ReleaseChecks(self, "checks", settings=settings) if settings.image else None
        endpoint = Endpoint(
            self,
            "endpoint",
            settings=settings,
            preconditions=checks.preconditions if checks else None,
        ).endpoint
        name = settings.endpoint_name
        dns = f"{endpoint.fqn}.dedicated_endpoint_dns"
        plan = release_plan(settings)
        Model(self, "model", settings=settings, endpoint=endpoint, plan=plan, checks=checks)
        self.publish(
            {
                "project_id": settings.project_id,
                "region": settings.region,
                "endpoint_resource_name": endpoint.id,
                "endpoint_id": name,
                "endpoint_type": settings.endpoint_type,
                # A bare host name, though the reference of the API gives its form with a scheme
                # (SDK 2.7.0 puts https:// before it: aiplatform/models.py, raw_predict).
                "endpoint_dns": f'${{try(trimprefix({dns}, "https://"), "")}}',
                "reply_limit_bytes": REPLY_LIMIT_BYTES[settings.endpoint_type],
                "service_account": settings.service_account("serving"),
                "kms_key": settings.encryption_key or "",
                "release": plan,
            }
        )


def release_plan(settings: Settings) -> dict[str, object]:
    """What ``sam-vertex model release`` needs to know; ``scripts.releases.request`` reads it."""
    bucket = f"gs://{settings.bucket_name}"
    return {
        "project_id": settings.project_id,
        "region": settings.region,
        "bucket_name": settings.bucket_name,
        "endpoint_id": settings.endpoint_name,
        "model_id": settings.model_id,
        "image": settings.image,
        "checkpoint": settings.checkpoint,
        "machine": settings.serving_machine,
        "accelerator": settings.serving_accelerator,
        "min_replicas": settings.min_replicas,
        "max_replicas": settings.max_replicas,
        "target_utilization": settings.serving_target,
        "spot": settings.serving_spot,
        "service_account": settings.service_account("serving"),
        "kms_key": settings.encryption_key or "",
        "serving": {
            **({"family": settings.serving_family} if settings.serving_family else {}),
            "precision": settings.serving_precision,
            "reply_limit_bytes": str(REPLY_LIMIT_BYTES[settings.endpoint_type]),
            "max_body_bytes": str(REPLY_LIMIT_BYTES[settings.endpoint_type]),
            "timeout_seconds": str(TIMEOUT_SECONDS[settings.endpoint_type]),
            "read_prefixes": f"{bucket}/{IMAGES},{bucket}/{PIPELINE}",
            "write_prefixes": f"{bucket}/{PREDICTIONS}",
        },
    }


def build(app: App, settings: Settings) -> None:
    """Declare both stacks, in the order of deployment."""
    platform = PlatformStack(app, settings)
    serving = ServingStack(app, settings)
    serving.add_dependency(platform)  # APIs and key grants come first
