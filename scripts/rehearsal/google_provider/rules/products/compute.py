"""Rules of networks of Compute Engine.

Source: terraform-provider-google at 6.50.0, ``google/services/<product>/resource_*.go``.
"""

from __future__ import annotations

from scripts.rehearsal.google_provider.rules.resource_rules import Rules, same_link

_NAME = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
RULES: dict[str, Rules] = {
    "google_compute_firewall": Rules(
        force_new=("name", "project", "network", "direction"),
        enums={
            "direction": ("INGRESS", "EGRESS"),
            "log_config.metadata": ("EXCLUDE_ALL_METADATA", "INCLUDE_ALL_METADATA"),
        },
        patterns={"name": _NAME},
        ranges={"priority": (0, 65_535)},
        defaults={"priority": 1000},
        exactly_one=(("", ("allow", "deny")),),
        same={"network": same_link},
    ),
    "google_compute_network": Rules(
        force_new=("name", "project", "auto_create_subnetworks", "description"),
        defaults={"auto_create_subnetworks": True, "delete_default_routes_on_create": False},
        patterns={"name": _NAME},
    ),
    "google_compute_subnetwork": Rules(
        force_new=("name", "project", "region", "network", "description"),
        defaults={
            "log_config.aggregation_interval": "INTERVAL_5_SEC",
            "log_config.flow_sampling": 0.5,
            "log_config.metadata": "INCLUDE_ALL_METADATA",
            "log_config.filter_expr": "true",
        },
        enums={
            "log_config.metadata": (
                "EXCLUDE_ALL_METADATA",
                "INCLUDE_ALL_METADATA",
                "CUSTOM_METADATA",
            ),
            "log_config.aggregation_interval": (
                "INTERVAL_5_SEC",
                "INTERVAL_30_SEC",
                "INTERVAL_1_MIN",
                "INTERVAL_5_MIN",
                "INTERVAL_10_MIN",
                "INTERVAL_15_MIN",
            ),
        },
        patterns={"name": _NAME, "ip_cidr_range": r"\d+\.\d+\.\d+\.\d+/\d+"},
        ranges={"log_config.flow_sampling": (0, 1)},
        same={"network": same_link},
    ),
    "google_compute_router": Rules(
        force_new=("name", "project", "region", "network"),
        patterns={"name": _NAME},
        same={"network": same_link},
    ),
    "google_compute_router_nat": Rules(
        force_new=("name", "project", "region", "router"),
        defaults={
            "icmp_idle_timeout_sec": 30,
            "tcp_established_idle_timeout_sec": 1200,
            "tcp_time_wait_timeout_sec": 120,
            "tcp_transitory_idle_timeout_sec": 30,
            "udp_idle_timeout_sec": 30,
            "type": "PUBLIC",
        },
        enums={
            "nat_ip_allocate_option": ("MANUAL_ONLY", "AUTO_ONLY"),
            "source_subnetwork_ip_ranges_to_nat": (
                "ALL_SUBNETWORKS_ALL_IP_RANGES",
                "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES",
                "LIST_OF_SUBNETWORKS",
            ),
            "log_config.filter": ("ERRORS_ONLY", "TRANSLATIONS_ONLY", "ALL"),
        },
    ),
}
