"""Questions by which somebody learns whether an API answers; what they list is not told."""

from __future__ import annotations

_PROJECT = r"projects/(?P<project>[^/]+)"
# Questions that are answered without content, by API: host and path, and the permission they need.
PROBED = {
    "artifactregistry": (
        rf"artifactregistry\.googleapis\.com/v1/{_PROJECT}/locations/[^/]+/repositories",
        "artifactregistry.repositories.list",
    ),
    "bigquery": (
        rf"bigquery\.googleapis\.com/bigquery/v2/{_PROJECT}/datasets",
        "resourcemanager.projects.get",
    ),
    "cloudkms": (
        rf"cloudkms\.googleapis\.com/v1/{_PROJECT}/locations/[^/]+/keyRings",
        "resourcemanager.projects.get",
    ),
    "compute": (
        rf"compute\.googleapis\.com/compute/v1/{_PROJECT}/regions/[^/]+",
        "compute.regions.get",
    ),
    "iam": (rf"iam\.googleapis\.com/v1/{_PROJECT}/serviceAccounts", "iam.serviceAccounts.get"),
    "logging": (rf"logging\.googleapis\.com/v2/{_PROJECT}/metrics", "resourcemanager.projects.get"),
    "monitoring": (
        rf"monitoring\.googleapis\.com/v1/{_PROJECT}/dashboards",
        "monitoring.timeSeries.list",
    ),
    "notebooks": (
        rf"notebooks\.googleapis\.com/v2/{_PROJECT}/locations/-/instances",
        "notebooks.instances.list",
    ),
}
