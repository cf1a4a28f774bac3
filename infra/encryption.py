"""Customer-managed encryption: one regional key, and the service agents that may use it."""

from __future__ import annotations

from cdktf import ITerraformDependable, TerraformResourceLifecycle
from cdktf_cdktf_provider_google.data_google_storage_project_service_account import (
    DataGoogleStorageProjectServiceAccount,
)
from cdktf_cdktf_provider_google.kms_crypto_key import KmsCryptoKey
from cdktf_cdktf_provider_google.kms_crypto_key_iam_member import KmsCryptoKeyIamMember
from cdktf_cdktf_provider_google.kms_key_ring import KmsKeyRing
from constructs import Construct

from infra.service_agents import ServiceAgents
from infra.settings import Settings

ROTATION = "7776000s"  # 90 days
# Workbench disks need both notebooks' and compute's agent (Google's page "CMEK" for Workbench).
USERS = {
    "vertex": "aiplatform",
    "registry": "artifactregistry",
    "notebooks": "notebooks",
    "compute": "compute",
    "storage": "storage",
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
        agents: ServiceAgents,
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
        # Reading Cloud Storage's agent makes it; the grants only wait for that.
        storage = DataGoogleStorageProjectServiceAccount(
            self, "storage-agent", project=settings.project_id, depends_on=after
        )
        self.ready: list[ITerraformDependable] = [
            KmsCryptoKeyIamMember(
                self,
                f"{name}-uses-key",
                crypto_key_id=self.key_id,
                role="roles/cloudkms.cryptoKeyEncrypterDecrypter",
                member=agents.member(api),
                depends_on=[*after, *agents.ready, storage],
            )
            for name, api in USERS.items()
        ]
