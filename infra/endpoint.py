"""The Vertex AI endpoint, whose id stays the same whatever is deployed on it."""

from __future__ import annotations

from cdktf import Precondition, TerraformResourceLifecycle
from cdktf_cdktf_provider_google.vertex_ai_endpoint import (
    VertexAiEndpoint,
    VertexAiEndpointEncryptionSpec,
    VertexAiEndpointPredictRequestResponseLoggingConfig,
    VertexAiEndpointPredictRequestResponseLoggingConfigBigqueryDestination,
)
from constructs import Construct

from infra.settings import Settings

REPLY_LIMIT_BYTES = {"dedicated": 10_000_000, "shared": 1_500_000}
# A dedicated endpoint can wait up to an hour, but the provider has no field for that; 600 s is
# the default ("The default request timeout for a dedicated public endpoint is 10 minutes", Google's
# page "Create a public endpoint").
TIMEOUT_SECONDS = {"dedicated": 600, "shared": 60}


class Endpoint(Construct):
    """An endpoint, on which :class:`infra.model.Model` deploys.

    ``traffic_split`` stays unset, because ids of deployed models are known only after deployment.

    Args:
        preconditions: what must hold before Terraform makes it.

    Attributes:
        endpoint: the endpoint.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        preconditions: list[Precondition] | None,
    ) -> None:
        super().__init__(scope, id_)
        logging = encryption = None
        if settings.request_logging:
            logging = VertexAiEndpointPredictRequestResponseLoggingConfig(
                enabled=True,
                sampling_rate=settings.request_logging_rate,
                bigquery_destination=VertexAiEndpointPredictRequestResponseLoggingConfigBigqueryDestination(
                    output_uri=settings.request_logging
                ),
            )
        if settings.encryption_key:
            encryption = VertexAiEndpointEncryptionSpec(kms_key_name=settings.encryption_key)
        self.endpoint = VertexAiEndpoint(
            self,
            "endpoint",
            name=settings.endpoint_name,
            display_name=f"{settings.prefix} segment anything",
            description="Masks of images by Segment Anything.",
            location=settings.region,
            project=settings.project_id,
            labels={"app": settings.prefix},
            dedicated_endpoint_enabled=True if settings.endpoint_type == "dedicated" else None,
            predict_request_response_logging_config=logging,
            encryption_spec=encryption,
            lifecycle=TerraformResourceLifecycle(precondition=preconditions)
            if preconditions
            else None,
        )
