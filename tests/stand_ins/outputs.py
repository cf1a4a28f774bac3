"""The outputs of a deployed platform, as ``cdktf deploy`` writes them."""

from __future__ import annotations

from typing import Any


def platform_outputs(project_id: str) -> dict[str, Any]:
    """The outputs of the platform's stack in a project, all names by default."""
    bucket = f"{project_id}-sam"
    return {
        "project_id": project_id,
        "region": "us-west1",
        "bucket_name": bucket,
        "checkpoint_uri": f"gs://{bucket}/sam-checkpoint",
        "images_uri": f"gs://{bucket}/batch-prediction-images",
        "pipeline_uri": f"gs://{bucket}/pipeline",
        "registry_uri": f"us-west1-docker.pkg.dev/{project_id}/sam-images",
        "service_accounts": {"pipeline": f"sam-pipeline@{project_id}.iam.gserviceaccount.com"},
        "workbench_name": "sam-workbench",
        "workbench_zone": "us-west1-b",
        "workbench_proxy_uri": "",
        "startup_status_uri": f"gs://{bucket}/startup/status/sam-workbench.json",
        "kms_key": "",
        "workbench_shape": {
            "machine": "n1-standard-2",
            "accelerator": "NVIDIA_TESLA_T4",
            "disk_gb": 250,
            "nat": True,
        },
    }
