"""Customer-managed encryption: one regional key, and the service agents that may use it."""

from __future__ import annotations

from cdktf import ITerraformDependable, TerraformResourceLifecycle
from cdktf_cdktf_provider_google.data_google_project import DataGoogleProject
from cdktf_cdktf_provider_google.data_google_storage_project_service_account import (
    DataGoogleStorageProjectServiceAccount,
)
from cdktf_cdktf_provider_google.kms_crypto_key import KmsCryptoKey
from cdktf_cdktf_provider_google.kms_crypto_key_iam_member import KmsCryptoKeyIamMember
from cdktf_cdktf_provider_google.kms_key_ring import KmsKeyRing
from constructs import Construct

from infra.settings import Settings

ROTATION = "7776000s"  # 90 days
# Workbench disks need both of the last two (Google's page "CMEK" for Workbench).
AGENTS = {
    "vertex": "gcp-sa-aiplatform",
    "registry": "gcp-sa-artifactregistry",
    "notebooks": "gcp-sa-notebooks",
    "compute": "compute-system",
}


class Encryption(Construct):
    """A new key ring and key, or an existing key, granted to Google's service agents.

    Google Cloud deletes no key rings and keys: destroy schedules the key's versions for
    destruction, so that all data becomes unreadable, and the names stay taken (``SAM_KMS_KEY_RING``
    names another ring). So Terraform refuses a destroy unless ``SAM_FORCE_DESTROY`` is set.

    Attributes:
        key_id: full resource name of the key.
        ready: the grants; every encrypted resource depends on them.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        project: DataGoogleProject,
        after: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        if settings.kms_key:
            self.key_id = settings.kms_key
        else:
            ring = KmsKeyRing(
                self,
                "ring",
                name=settings.key_ring_name,
                location=settings.region,
                project=settings.project_id,
                depends_on=after,
            )
            self.key_id = KmsCryptoKey(
                self,
                "key",
                name=f"{settings.prefix}-key",
                key_ring=ring.id,
                purpose="ENCRYPT_DECRYPT",
                rotation_period=ROTATION,
                lifecycle=TerraformResourceLifecycle(prevent_destroy=True)
                if not settings.force_destroy
                else None,
            ).id
        storage = DataGoogleStorageProjectServiceAccount(
            self, "storage-agent", project=settings.project_id, depends_on=after
        )
        members = {
            name: f"serviceAccount:service-{project.number}@{agent}.iam.gserviceaccount.com"
            for name, agent in AGENTS.items()
        }
        members["storage"] = storage.member
        self.ready: list[ITerraformDependable] = [
            KmsCryptoKeyIamMember(
                self,
                f"{name}-uses-key",
                crypto_key_id=self.key_id,
                role="roles/cloudkms.cryptoKeyEncrypterDecrypter",
                member=member,
                depends_on=after,
            )
            for name, member in members.items()
        ]
