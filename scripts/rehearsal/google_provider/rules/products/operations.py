"""Rules of metrics of logs, monitoring and budgets.

Source: terraform-provider-google at 6.50.0, ``google/services/<product>/resource_*.go``.
"""

from __future__ import annotations

from scripts.rehearsal.google_provider.rules.resource_rules import Rules, same_json

_VALUE_TYPES = ("BOOL", "INT64", "DOUBLE", "STRING", "DISTRIBUTION", "MONEY")

RULES: dict[str, Rules] = {
    "google_logging_metric": Rules(
        force_new=("name", "project"),
        defaults={"metric_descriptor.unit": "1", "metric_descriptor.labels.value_type": "STRING"},
        enums={
            "metric_descriptor.metric_kind": ("DELTA", "GAUGE", "CUMULATIVE"),
            "metric_descriptor.value_type": _VALUE_TYPES,
            "metric_descriptor.labels.value_type": ("BOOL", "INT64", "STRING"),
        },
    ),
    "google_monitoring_dashboard": Rules(
        force_new=("project",), json=("dashboard_json",), same={"dashboard_json": same_json}
    ),
    "google_monitoring_notification_channel": Rules(
        force_new=("project",),
        defaults={"enabled": True, "force_delete": False},
    ),
    "google_monitoring_alert_policy": Rules(
        force_new=("project",),
        defaults={"enabled": True},
        enums={
            "combiner": ("AND", "OR", "AND_WITH_MATCHING_RESOURCE"),
            "severity": ("CRITICAL", "ERROR", "WARNING"),
            "conditions.condition_threshold.comparison": tuple(
                f"COMPARISON_{name}" for name in ("GT", "GE", "LT", "LE", "EQ", "NE")
            ),
        },
        patterns={
            "conditions.condition_threshold.duration": r"\d+s",
            "conditions.condition_threshold.aggregations.alignment_period": r"\d+s",
        },
    ),
    "google_billing_budget": Rules(
        force_new=("billing_account",),
        enums={"threshold_rules.spend_basis": ("CURRENT_SPEND", "FORECASTED_SPEND")},
        defaults={"threshold_rules.spend_basis": "CURRENT_SPEND"},
        exactly_one=(("amount", ("specified_amount", "last_period_amount")),),
        longest={"all_updates_rule.monitoring_notification_channels": 5},
        computed_blocks=("budget_filter",),
    ),
}
