"""What happens first and last when Terraform destroys the platform.

Terraform destroys what depends on something before that something. So the guards depend on
everything else, and everything else depends on the report.
"""

from __future__ import annotations

from cdktf import (
    DataResource,
    LocalExecProvisioner,
    TerraformResource,
    TerraformResourceLifecycle,
    TerraformSelf,
)
from cdktf_cdktf_provider_google.storage_bucket import StorageBucket
from constructs import Construct

from infra.operator_command import sam_vertex
from infra.settings import Settings
from infra.storage import BUILD, STARTUP

RECORDS = "serving"  # where releases before 0.8.0 recorded themselves


class DestroyGuard(Construct):
    """Refuses a destroy that takes the user's data along, before anything is destroyed.

    Where nothing is lost, or ``SAM_FORCE_DESTROY`` is set at that time, it empties the bucket with
    all versions of its objects, because the provider goes by the ``force_destroy`` of the last
    deployment (resource_storage_bucket.go at v6.50.0 reads it from the state).

    Args:
        bucket: whose replacement is a destroy too.
        table: ``data_set.table`` of BigQuery; others in its data set are the user's data as well.

    It depends on every resource of its stack that is declared before it, so it is declared last.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        bucket: StorageBucket,
        table: str = "",
    ) -> None:
        super().__init__(scope, id_)
        # Terraform takes only a bare reference here; ``fqn`` would be an interpolation.
        identity = f"{bucket.terraform_resource_type}.{bucket.friendly_unique_id}.id"
        # Part of the configuration, not of the state: what is set at destroy counts.
        force = " --force" if settings.force_destroy else ""
        given = f" --table {table}" if table else ""
        everything = [
            resource
            for resource in scope.node.find_all()
            if isinstance(resource, TerraformResource)
        ]
        DataResource(
            self,
            "guard",
            input={"bucket": settings.bucket_name, "project": settings.project_id},
            provisioners=[
                LocalExecProvisioner(
                    type="local-exec",
                    when="destroy",
                    command=sam_vertex(
                        f"platform clear-bucket {TerraformSelf.get_string('input.bucket')} "
                        f"--project {TerraformSelf.get_string('input.project')} "
                        f"--ours {STARTUP}/ --ours {BUILD}/ --ours {RECORDS}/{given}{force}"
                    ),
                )
            ],
            lifecycle=TerraformResourceLifecycle(replace_triggered_by=[identity]),
            depends_on=everything,
        )


class DestroyReport(Construct):
    """Says what still bills when everything else is gone.

    Attributes:
        resource: what everything else depends on.
    """

    def __init__(self, scope: Construct, id_: str, *, settings: Settings) -> None:
        super().__init__(scope, id_)
        options = {
            "--soft-delete-days": settings.soft_delete_days,
            "--state-bucket": settings.state_bucket,
            "--log-bucket": settings.log_bucket,
            "--kms-key": settings.encryption_key,
            "--request-log": settings.request_logging,
        }
        given = "".join(f" {name} {value}" for name, value in options.items() if value)
        self.resource = DataResource(
            self,
            "report",
            input={"project": settings.project_id, "region": settings.region},
            provisioners=[
                LocalExecProvisioner(
                    type="local-exec",
                    when="destroy",
                    command=sam_vertex(
                        f"platform remains --project {TerraformSelf.get_string('input.project')} "
                        f"--region {TerraformSelf.get_string('input.region')}{given}"
                    )
                    + " || true",  # it only tells; a destroy does not stop for that
                )
            ],
        )
