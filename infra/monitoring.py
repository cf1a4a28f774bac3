"""Optional monitoring of the platform: alert policies, their e-mail channels, a dashboard."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_google.monitoring_alert_policy import (
    MonitoringAlertPolicy,
    MonitoringAlertPolicyConditions,
    MonitoringAlertPolicyConditionsConditionThreshold,
    MonitoringAlertPolicyConditionsConditionThresholdAggregations,
    MonitoringAlertPolicyDocumentation,
)
from cdktf_cdktf_provider_google.monitoring_dashboard import MonitoringDashboard
from cdktf_cdktf_provider_google.monitoring_notification_channel import (
    MonitoringNotificationChannel,
)
from constructs import Construct

from infra.log_metrics import LogMetrics
from infra.settings import Settings

ONLINE = "aiplatform.googleapis.com/prediction/online"
ENDPOINT = 'resource.type = "aiplatform.googleapis.com/Endpoint"'


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert policy.

    Attributes:
        title: what an operator reads first.
        filter: time series it looks at.
        aligner: how Cloud Monitoring combines the points of a period.
        comparison: ``COMPARISON_GT`` or ``COMPARISON_LT``.
        threshold: value in the unit of the metric.
        duration_s: how long it must hold.
        severity: CRITICAL, ERROR or WARNING.
        advice: what to do, in Markdown.
    """

    title: str
    filter: str
    aligner: str
    comparison: str
    threshold: float
    duration_s: int
    severity: str
    advice: str


def alerts(settings: Settings) -> dict[str, Alert]:
    """The alert policies by construct id."""
    endpoint = f'{ENDPOINT} AND resource.labels.endpoint_id = "{settings.endpoint_name}"'
    return {
        "endpoint-errors": Alert(
            title="endpoint answers with errors",
            filter=f'{endpoint} AND metric.type = "{ONLINE}/error_count"',
            aligner="ALIGN_RATE",
            comparison="COMPARISON_GT",
            threshold=0.05,
            duration_s=300,
            severity="ERROR",
            advice="Look at the endpoint's logs; `sam-vertex doctor` checks the deployment.",
        ),
        "endpoint-latency": Alert(
            title="endpoint is slow",
            filter=f'{endpoint} AND metric.type = "{ONLINE}/prediction_latencies"',
            aligner="ALIGN_PERCENTILE_95",
            comparison="COMPARISON_GT",
            threshold=30_000,
            duration_s=600,
            severity="WARNING",
            advice="Raise `SAM_MAX_REPLICAS`, or send fewer images a request.",
        ),
        "accelerator-idle": Alert(
            title="accelerator is deployed and idle",
            filter=f'{endpoint} AND metric.type = "{ONLINE}/accelerator/duty_cycle"',
            aligner="ALIGN_MAX",
            comparison="COMPARISON_LT",
            threshold=0.01,
            duration_s=7200,
            severity="WARNING",
            advice="It is billed while deployed. Undeploy the model if nobody needs it.",
        ),
        "workbench-running": Alert(
            title=f"Workbench has run for {settings.workbench_max_hours} hours",
            filter=(
                'resource.type = "gce_instance"'
                ' AND metric.type = "compute.googleapis.com/instance/uptime_total"'
                f' AND metadata.system_labels.name = "{settings.prefix}-workbench"'
            ),
            aligner="ALIGN_MAX",
            comparison="COMPARISON_GT",
            threshold=settings.workbench_max_hours * 3600,
            duration_s=0,
            severity="WARNING",
            advice=f"Stop it: `gcloud workbench instances stop {settings.prefix}-workbench "
            f"--location={settings.zone}`.",
        ),
    }


def dashboard(settings: Settings) -> dict[str, Any]:
    """The dashboard in the API's form, a chart for each alert and a few more."""
    charts = {
        "Predictions": f'{ENDPOINT} AND metric.type = "{ONLINE}/prediction_count"',
        "Replicas": f'{ENDPOINT} AND metric.type = "{ONLINE}/replicas"',
        "Requests by status": (
            f'{ENDPOINT} AND metric.type = "logging.googleapis.com/user/{settings.prefix}-requests"'
        ),
        **{alert.title.capitalize(): alert.filter for alert in alerts(settings).values()},
    }
    tiles = [
        {
            "width": 6,
            "height": 4,
            "xPos": 6 * (number % 2),
            "yPos": 4 * (number // 2),
            "widget": {
                "title": title,
                "xyChart": {
                    "dataSets": [
                        {
                            "plotType": "LINE",
                            "timeSeriesQuery": {
                                "timeSeriesFilter": {
                                    "filter": filter_,
                                    "aggregation": {
                                        "alignmentPeriod": "300s",
                                        "perSeriesAligner": "ALIGN_PERCENTILE_95"
                                        if "latencies" in filter_
                                        else "ALIGN_MAX"
                                        if "_count" not in filter_ and "-requests" not in filter_
                                        else "ALIGN_RATE",
                                    },
                                }
                            },
                        }
                    ]
                },
            },
        }
        for number, (title, filter_) in enumerate(charts.items())
    ]
    name = f"{settings.prefix} segment anything"
    return {"displayName": name, "mosaicLayout": {"columns": 12, "tiles": tiles}}


class Channels(Construct):
    """The e-mail addresses that receive alerts.

    Attributes:
        names: resource names of the notification channels.
    """

    def __init__(
        self, scope: Construct, id_: str, *, settings: Settings, after: list[ITerraformDependable]
    ) -> None:
        super().__init__(scope, id_)
        self.names = [
            MonitoringNotificationChannel(
                self,
                f"email-{number}",
                type="email",
                display_name=f"{settings.prefix} alerts",
                project=settings.project_id,
                labels={"email_address": email},
                depends_on=after,
            ).name
            for number, email in enumerate(settings.alert_emails)
        ]


class Monitoring(Construct):
    """Alert policies, metrics of the model server's log, and the dashboard."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        channels: Channels,
        after: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        LogMetrics(self, "log-metrics", settings=settings, after=after)
        for name, alert in alerts(settings).items():
            MonitoringAlertPolicy(
                self,
                name,
                display_name=f"{settings.prefix}: {alert.title}",
                project=settings.project_id,
                combiner="OR",
                severity=alert.severity,
                notification_channels=channels.names,
                documentation=MonitoringAlertPolicyDocumentation(
                    content=alert.advice, mime_type="text/markdown"
                ),
                conditions=[
                    MonitoringAlertPolicyConditions(
                        display_name=alert.title,
                        condition_threshold=MonitoringAlertPolicyConditionsConditionThreshold(
                            filter=alert.filter,
                            comparison=alert.comparison,
                            threshold_value=alert.threshold,
                            duration=f"{alert.duration_s}s",
                            aggregations=[
                                MonitoringAlertPolicyConditionsConditionThresholdAggregations(
                                    alignment_period="300s", per_series_aligner=alert.aligner
                                )
                            ],
                        ),
                    )
                ],
                depends_on=after,
            )
        MonitoringDashboard(
            self,
            "dashboard",
            project=settings.project_id,
            dashboard_json=json.dumps(dashboard(settings), sort_keys=True),
            depends_on=after,
        )
