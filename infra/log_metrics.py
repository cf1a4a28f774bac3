"""Counters of the model server as metrics, read out of its log lines.

Vertex AI reaches no metrics route of a container, but its output goes to Cloud Logging, and the
server writes one JSON object for each request (``serving/log_lines.py``). That Vertex AI keeps such
a line as ``jsonPayload`` under the resource of the endpoint is UNVERIFIED.
"""

from __future__ import annotations

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_google.logging_metric import (
    LoggingMetric,
    LoggingMetricBucketOptions,
    LoggingMetricBucketOptionsExponentialBuckets,
    LoggingMetricMetricDescriptor,
    LoggingMetricMetricDescriptorLabels,
)
from constructs import Construct

from infra.settings import Settings

RESOURCE = 'resource.type = "aiplatform.googleapis.com/Endpoint"'
# Of one resource type and one field that only the server's own lines have.
FILTER = f'{RESOURCE} AND jsonPayload.event = "request"'


class LogMetrics(Construct):
    """Requests by status, and how long they took.

    Attributes:
        names: of the metrics, as Cloud Monitoring knows them.
    """

    def __init__(
        self, scope: Construct, id_: str, *, settings: Settings, after: list[ITerraformDependable]
    ) -> None:
        super().__init__(scope, id_)
        status = LoggingMetricMetricDescriptorLabels(key="status", value_type="STRING")
        requests = LoggingMetric(
            self,
            "requests",
            name=f"{settings.prefix}-requests",
            project=settings.project_id,
            description="requests to the model server, by the status of the reply",
            filter=FILTER,
            label_extractors={"status": "EXTRACT(jsonPayload.status)"},
            metric_descriptor=LoggingMetricMetricDescriptor(
                metric_kind="DELTA", value_type="INT64", labels=[status]
            ),
            depends_on=after,
        )
        seconds = LoggingMetric(
            self,
            "seconds",
            name=f"{settings.prefix}-seconds",
            project=settings.project_id,
            description="seconds from a request's arrival at the model server to its reply",
            filter=FILTER,
            value_extractor="EXTRACT(jsonPayload.seconds)",
            metric_descriptor=LoggingMetricMetricDescriptor(
                metric_kind="DELTA", value_type="DISTRIBUTION", unit="s"
            ),
            # From 50 ms to 800 s, each bucket twice as wide as the one before.
            bucket_options=LoggingMetricBucketOptions(
                exponential_buckets=LoggingMetricBucketOptionsExponentialBuckets(
                    num_finite_buckets=14, growth_factor=2, scale=0.05
                )
            ),
            depends_on=after,
        )
        self.names = [requests.name, seconds.name]
