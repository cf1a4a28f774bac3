"""Where accelerators can be had, and which machines take them.

Zones with T4s: the skypilot catalog's 2026 snapshot of Google's price list. Machines: Vertex AI,
"Configure compute resources for inference"; a T4 attaches only to N1.
"""

from __future__ import annotations

T4_ZONES: dict[str, str] = {
    "asia-east1": "ac",
    "asia-east2": "ac",
    "asia-northeast1": "ac",
    "asia-northeast3": "bc",
    "asia-south1": "ab",
    "asia-southeast1": "abc",
    "asia-southeast2": "ab",
    "australia-southeast1": "ac",
    "europe-central2": "bc",
    "europe-west1": "bcd",
    "europe-west2": "ab",
    "europe-west3": "b",
    "europe-west4": "abc",
    "me-west1": "bc",
    "northamerica-northeast1": "c",
    "southamerica-east1": "abc",
    "us-central1": "abcf",
    "us-east1": "cd",
    "us-east4": "abc",
    "us-west1": "ab",
    "us-west2": "bc",
    "us-west3": "b",
    "us-west4": "ab",
}
# One accelerator of a kind, and the machines it goes on.
ACCELERATOR_MACHINES: dict[str, tuple[str, ...]] = {
    "NVIDIA_TESLA_T4": (
        *(f"n1-standard-{size}" for size in (2, 4, 8, 16)),
        *(f"n1-highmem-{size}" for size in (2, 4, 8, 16)),
        *(f"n1-highcpu-{size}" for size in (2, 4, 8, 16)),
    ),
    "NVIDIA_L4": ("g2-standard-4", "g2-standard-8", "g2-standard-12", "g2-standard-16"),
}
WORKBENCH_IMAGES: dict[str, str] = {
    "debian-11": "workbench-instances",  # PyTorch 1.13 kernels, supported to March 2027
    "debian-12": "workbench-instances-2603",  # PyTorch 2.12 kernels, supported to March 2028
}
WORKBENCH_IMAGE_PROJECT = "cloud-notebooks-managed"


def t4_zones(region: str) -> tuple[str, ...]:
    """Full names of the zones with T4s in a region; empty where there is none."""
    return tuple(f"{region}-{letter}" for letter in T4_ZONES.get(region, ""))
