"""The bucket, its folders, and who may do what in each."""

from __future__ import annotations

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_google.storage_bucket import (
    StorageBucket,
    StorageBucketEncryption,
    StorageBucketLifecycleRule,
    StorageBucketLifecycleRuleAction,
    StorageBucketLifecycleRuleCondition,
    StorageBucketLogging,
    StorageBucketSoftDeletePolicy,
    StorageBucketVersioning,
)
from cdktf_cdktf_provider_google.storage_bucket_iam_member import StorageBucketIamMember
from cdktf_cdktf_provider_google.storage_managed_folder import StorageManagedFolder
from cdktf_cdktf_provider_google.storage_managed_folder_iam_member import (
    StorageManagedFolderIamMember,
)
from constructs import Construct

from infra.settings import Settings

CHECKPOINTS, IMAGES, PIPELINE = "sam-checkpoint", "batch-prediction-images", "pipeline"
PREDICTIONS = "predictions"  # what online requests have written by their output_uri
STARTUP, STATUS = "startup", "startup/status"
BUILD = "build"  # sources on their way to Cloud Build
FOLDERS = (CHECKPOINTS, IMAGES, PIPELINE, PREDICTIONS, STARTUP, STATUS, BUILD)
OURS = (STARTUP, STATUS, BUILD)  # nobody would miss what is in these
BUILD_DAYS = 7
SECONDS_A_DAY = 86_400


class Storage(Construct):
    """The bucket with its managed folders; grants give access folder by folder.

    Resources in the bucket refer to its computed id, so that Terraform replaces them with it.

    Attributes:
        bucket: the bucket.
        folders: the managed folder of each name in ``FOLDERS``.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        kms_key: str | None,
        after: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        self.bucket = StorageBucket(
            self,
            "bucket",
            name=settings.bucket_name,
            location=settings.region,
            project=settings.project_id,
            storage_class="STANDARD",
            labels={"app": settings.prefix},
            force_destroy=settings.force_destroy,
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning=StorageBucketVersioning(enabled=True),
            soft_delete_policy=StorageBucketSoftDeletePolicy(
                retention_duration_seconds=settings.soft_delete_days * SECONDS_A_DAY
            ),
            lifecycle_rule=self._lifecycle(settings),
            logging=StorageBucketLogging(
                log_bucket=settings.log_bucket, log_object_prefix=settings.bucket_name
            )
            if settings.log_bucket
            else None,
            encryption=StorageBucketEncryption(default_kms_key_name=kms_key) if kms_key else None,
            depends_on=after,
        )
        if settings.log_bucket:
            # "Usage logs & storage logs": Cloud Storage writes them as this group, and says nothing
            # where it may not.
            StorageBucketIamMember(
                self,
                "access-logs",
                bucket=settings.log_bucket,
                role="roles/storage.objectCreator",
                member="group:cloud-storage-analytics@google.com",
                depends_on=after,
            )
        self.folders: dict[str, StorageManagedFolder] = {}
        for name in FOLDERS:
            outer = self.folders.get(name.rpartition("/")[0])
            self.folders[name] = StorageManagedFolder(
                self,
                name.replace("/", "-"),
                bucket=self.bucket.id,
                name=f"{name}/",
                # What is in the platform's own folders is not the user's.
                force_destroy=settings.force_destroy or name in OURS,
                # Terraform deletes the inner folder before the outer one.
                depends_on=[outer] if outer else None,
            )

    @staticmethod
    def _lifecycle(settings: Settings) -> list[StorageBucketLifecycleRule]:
        delete = StorageBucketLifecycleRuleAction(type="Delete")
        rules = [
            StorageBucketLifecycleRule(
                action=delete,
                condition=StorageBucketLifecycleRuleCondition(
                    with_state="ARCHIVED", days_since_noncurrent_time=settings.noncurrent_days
                ),
            ),
            StorageBucketLifecycleRule(
                action=StorageBucketLifecycleRuleAction(type="AbortIncompleteMultipartUpload"),
                condition=StorageBucketLifecycleRuleCondition(age=7),
            ),
            StorageBucketLifecycleRule(
                action=delete,
                condition=StorageBucketLifecycleRuleCondition(
                    age=BUILD_DAYS, matches_prefix=[f"{BUILD}/"]
                ),
            ),
        ]
        if settings.run_retention_days:
            rules.append(
                StorageBucketLifecycleRule(
                    action=delete,
                    condition=StorageBucketLifecycleRuleCondition(
                        age=settings.run_retention_days, matches_prefix=[f"{PIPELINE}/"]
                    ),
                )
            )
        return rules

    def grant_folder(
        self, folder: str, role: str, *, to: str, id_: str, after: list[ITerraformDependable]
    ) -> ITerraformDependable:
        """Let a member do something in one folder.

        Args:
            folder: one of ``FOLDERS``.
            role: e.g. ``roles/storage.objectViewer``.
            to: IAM member, ``serviceAccount:...``.
            id_: construct id, unique here.
            after: the account behind the member.
        """
        return StorageManagedFolderIamMember(
            self,
            id_,
            bucket=self.bucket.id,
            managed_folder=self.folders[folder].name,
            role=role,
            member=to,
            depends_on=after,
        )

    def grant_listing(
        self, *, to: str, id_: str, after: list[ITerraformDependable]
    ) -> ITerraformDependable:
        """Let a member see the bucket and list its names, as mounting it needs; reads no data."""
        return StorageBucketIamMember(
            self,
            id_,
            bucket=self.bucket.id,
            role="roles/storage.legacyBucketReader",
            member=to,
            depends_on=after,
        )
