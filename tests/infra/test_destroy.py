"""What a destroy takes, and what it refuses to take: the real Terraform against the stand-in."""

from __future__ import annotations

import pytest
import tftest

from infra.stacks import PLATFORM, SERVING
from scripts.rehearsal.google_provider.objects import Objects
from scripts.rehearsal.google_provider.schema.snapshot import resource_block
from tests.infra.deployment import Deploy, error_of


def test_destroy_spares_what_somebody_made_in_the_data_set(deployment: Deploy) -> None:
    """Until SAM_FORCE_DESTROY says otherwise, as it does for the bucket's data."""
    made = deployment(bigquery=True, workbench=False)
    made.apply(PLATFORM)
    with made.world.open() as world:
        tables = world["resources"]["google_bigquery_table"]
        ((id_, ours),) = tables.items()
        theirs = id_.replace("/masks", "/of_somebody")
        tables[theirs] = {**ours, "id": theirs}
    with pytest.raises(tftest.TerraformTestError) as failed:
        made.destroy(PLATFORM)
    assert f"Dataset {made.project}:sam_results is still in use" in error_of(failed)
    made.synthesize(force_destroy=True)
    made.apply(PLATFORM)
    made.destroy(PLATFORM)
    assert made.resources() == {}


def test_destroy_of_a_platform_without_data_takes_one_command(deployment: Deploy) -> None:
    """Not even what the Workbench reported and earlier versions of the script keep the bucket."""
    made = deployment()
    made.use_the_real_command()
    made.apply(PLATFORM)
    objects, bucket = Objects(made.storage_url), f"{made.project}-sam"
    objects.put(bucket, "startup/status/sam-workbench.json", b"{}")
    objects.put(bucket, "sam-checkpoint/folder-of-a-console/", b"")
    report = made.terraform(PLATFORM).destroy()
    assert made.resources() == {}
    assert not objects.has_bucket(bucket)
    assert "deleted objects, for 7 more days" in report


def test_destroy_refuses_to_lose_data_before_anything_is_gone(deployment: Deploy) -> None:
    """What counts is the setting at that time, not that of the last deployment."""
    made = deployment()
    made.use_the_real_command()
    made.apply(PLATFORM)
    objects, bucket = Objects(made.storage_url), f"{made.project}-sam"
    before = made.resources()
    objects.put(bucket, "sam-checkpoint/sam_vit_b_01ec64.pth", b"weights")
    with pytest.raises(tftest.TerraformTestError) as failed:
        made.destroy(PLATFORM)
    assert "sam-checkpoint: 1 object(s)" in error_of(failed)
    assert made.resources() == before
    assert objects.has(bucket, "sam-checkpoint/sam_vit_b_01ec64.pth")
    made.synthesize(force_destroy=True)
    made.destroy(PLATFORM)
    assert made.resources() == {}
    assert not objects.has_bucket(bucket)


def test_key_ring_cannot_be_made_twice(deployment: Deploy) -> None:
    """As in Google Cloud: after destroy the names stay taken, and another ring's name helps."""
    made = deployment(cmek=True)
    made.apply(PLATFORM)
    with pytest.raises(tftest.TerraformTestError) as failed:
        made.destroy(PLATFORM)  # all data would become unreadable
    assert "prevent_destroy" in error_of(failed)
    made.synthesize(force_destroy=True)
    made.destroy(PLATFORM)
    assert made.resources() == {}
    with pytest.raises(tftest.TerraformTestError) as failed:
        made.apply(PLATFORM)
    assert "keyRings/sam-keyring already exists" in error_of(failed)
    made.synthesize(kms_key_ring="sam-second")
    made.apply(PLATFORM)
    assert made.changes() == {}


def test_endpoint_with_a_model_cannot_be_deleted(deployment: Deploy) -> None:
    made = deployment()
    made.apply()
    with made.world.open() as world:
        (endpoint,) = world["resources"]["google_vertex_ai_endpoint"].values()
        shape = resource_block("google_vertex_ai_endpoint")["attributes"]["deployed_models"]["type"]
        endpoint["deployed_models"] = [{**dict.fromkeys(shape[1][1]), "id": "1"}]
    with pytest.raises(tftest.TerraformTestError) as failed:
        made.apply(SERVING)  # would forget what serves
    assert "sam-vertex model undeploy" in error_of(failed)
    with pytest.raises(tftest.TerraformTestError) as failed:
        made.destroy(SERVING)
    assert "has deployed or being-deployed DeployedModel" in error_of(failed)
