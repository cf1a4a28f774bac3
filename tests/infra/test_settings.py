"""Settings are refused with their name and a way out before anything is synthesized."""

from __future__ import annotations

import pytest

from infra.availability import ACCELERATOR_MACHINES, T4_ZONES
from infra.configuration import load
from infra.settings import Settings, SettingsError, variable

KEY = "projects/p/locations/us-west1/keyRings/r/cryptoKeys/k"
DIGEST = "sha256:" + "0" * 64


def settings(**environ: str) -> Settings:
    return load({}, {"SAM_PROJECT_ID": "my-project", **environ})


@pytest.mark.parametrize(
    ("environ", "named", "problem"),
    [
        pytest.param({"SAM_PROJECT_ID": "My_Project"}, "SAM_PROJECT_ID", "6-30", id="project id"),
        pytest.param({"SAM_REGION": "west"}, "SAM_REGION", "like us-west1", id="no region"),
        pytest.param({"SAM_ZONE": "us-east1-c"}, "SAM_ZONE", "not a zone", id="zone elsewhere"),
        pytest.param({"SAM_ZONE": "us-west1-c"}, "SAM_ZONE", "no T4s", id="zone without T4s"),
        pytest.param(
            {"SAM_REGION": "europe-north1", "SAM_ZONE": "europe-north1-a"}, "SAM_ZONE", "no T4s",
            id="region without T4s",
        ),
        pytest.param({"SAM_PREFIX": "Sam"}, "SAM_PREFIX", "lower-case", id="prefix in capitals"),
        pytest.param({"SAM_PREFIX": "s" * 19}, "SAM_PREFIX", "at most 18", id="prefix too long"),
        pytest.param({"SAM_STATE_BUCKET": "gs://b"}, "SAM_STATE_BUCKET", "no gs", id="state uri"),
        pytest.param({"SAM_LOG_BUCKET": "B"}, "SAM_LOG_BUCKET", "3-63", id="log bucket"),
        pytest.param(
            {"SAM_STATE_BUCKET": "company-state", "SAM_STATE_FOLDER": "/tmp"},
            "SAM_STATE_FOLDER", "conflicts", id="state twice",
        ),
        pytest.param({"SAM_SOFT_DELETE_DAYS": "3"}, "SAM_SOFT_DELETE_DAYS", "0 or 7", id="soft"),
        pytest.param({"SAM_SOFT_DELETE_DAYS": "91"}, "SAM_SOFT_DELETE_DAYS", "90", id="soft max"),
        pytest.param({"SAM_KEEP_IMAGES": "many"}, "SAM_KEEP_IMAGES", "whole number", id="a word"),
        pytest.param({"SAM_BIGQUERY": "p.d.t"}, "SAM_BIGQUERY", "true or false", id="not a table"),
        pytest.param({"SAM_FORCE_DESTROY": "oui"}, "SAM_FORCE_DESTROY", "true or false", id="bool"),
        pytest.param(
            {"SAM_WORKBENCH_ACCELERATOR": "NVIDIA_T4"}, "SAM_WORKBENCH_ACCELERATOR", "expected",
            id="unknown accelerator",
        ),
        pytest.param(
            {"SAM_WORKBENCH_MACHINE": "e2-standard-4"}, "SAM_WORKBENCH_MACHINE",
            "takes no NVIDIA_TESLA_T4", id="machine without T4",
        ),
        pytest.param(
            {"SAM_SERVING_ACCELERATOR": "NVIDIA_L4"}, "SAM_SERVING_MACHINE", "takes no NVIDIA_L4",
            id="serving machine",
        ),
        pytest.param(
            {"SAM_WORKBENCH_IMAGE": "debian-10"}, "SAM_WORKBENCH_IMAGE", "unknown", id="image",
        ),
        pytest.param(
            {"SAM_WORKBENCH_IDLE_MINUTES": "5"}, "SAM_WORKBENCH_IDLE_MINUTES", "10", id="idle",
        ),
        pytest.param(
            {"SAM_REPOSITORY_URL": "git@host:sam.git"}, "SAM_REPOSITORY_URL", "https://", id="url",
        ),
        pytest.param({"SAM_WORKBENCH_OWNER": "ada"}, "SAM_WORKBENCH_OWNER", "e-mail", id="owner"),
        pytest.param(
            {"SAM_WORKBENCH_OWNER": "a@b.c,d@e.f"}, "SAM_WORKBENCH_OWNER", "one owner", id="owners",
        ),
        pytest.param(
            {"SAM_WORKBENCH_OWNER": "a@b.c", "SAM_WORKBENCH_USERS": "d@e.f"},
            "SAM_WORKBENCH_USERS", "conflicts", id="owner and users",
        ),
        pytest.param(
            {"SAM_NETWORK": "projects/p/global/networks/n"}, "SAM_SUBNET", "go together",
            id="network without subnet",
        ),
        pytest.param(
            {
                "SAM_NETWORK": "projects/p/global/networks/n",
                "SAM_SUBNET": "projects/p/regions/us-west1/subnetworks/s",
            },
            "SAM_NAT", "needs a NAT", id="no public address and no NAT",
        ),
        pytest.param(
            {"SAM_NETWORK": "n", "SAM_SUBNET": "projects/p/regions/us-east1/subnetworks/s"},
            "SAM_SUBNET", "us-west1", id="subnet elsewhere",
        ),
        pytest.param({"SAM_NAT": "create"}, "SAM_NAT", "existing network", id="NAT of no network"),
        pytest.param({"SAM_KMS_KEY": KEY}, "SAM_CMEK", "is off", id="key without CMEK"),
        pytest.param(
            {"SAM_CMEK": "1", "SAM_KMS_KEY": KEY.replace("us-west1", "global")},
            "SAM_KMS_KEY", "us-west1", id="key elsewhere",
        ),
        pytest.param(
            {"SAM_CMEK": "1", "SAM_KMS_KEY": KEY, "SAM_KMS_KEY_RING": "r"},
            "SAM_KMS_KEY_RING", "conflicts", id="key and ring",
        ),
        pytest.param({"SAM_ALERT_EMAIL": "a@b.c"}, "SAM_ALERT_EMAIL", "nothing", id="no alerts"),
        pytest.param(
            {"SAM_MONITORING": "1", "SAM_ALERT_EMAIL": "ops"}, "SAM_ALERT_EMAIL", "e-mail",
            id="alert address",
        ),
        pytest.param({"SAM_BUDGET": "100"}, "SAM_BILLING_ACCOUNT", "needs", id="whose budget"),
        pytest.param(
            {"SAM_BUDGET_CURRENCY": "dollars"}, "SAM_BUDGET_CURRENCY", "pattern", id="currency",
        ),
        pytest.param({"SAM_ENDPOINT_ID": "0123"}, "SAM_ENDPOINT_ID", "slug", id="endpoint id"),
        pytest.param(
            {"SAM_ENDPOINT_TYPE": "public"}, "SAM_ENDPOINT_TYPE", "dedicated", id="endpoint type",
        ),
        pytest.param(
            {"SAM_ENDPOINT_TYPE": "private"}, "SAM_ENDPOINT_TYPE", "dedicated", id="private",
        ),
        pytest.param(
            {"SAM_WORKBENCH": "false", "SAM_WORKBENCH_OWNER": "a@example.com"},
            "SAM_WORKBENCH", "describes one", id="owner of no Workbench",
        ),
        pytest.param(
            {"SAM_WORKBENCH": "false", "SAM_WORKBENCH_SSH": "true"},
            "SAM_WORKBENCH_SSH", "made here", id="ssh into no Workbench",
        ),
        pytest.param({"SAM_REQUEST_LOGGING": "p.d.t"}, "SAM_REQUEST_LOGGING", "bq://", id="table"),
        pytest.param(
            {"SAM_REQUEST_LOGGING_RATE": "0"}, "SAM_REQUEST_LOGGING_RATE", "greater", id="rate",
        ),
        pytest.param(
            {"SAM_MIN_REPLICAS": "2"}, "SAM_MAX_REPLICAS", "below", id="fewer at most than least",
        ),
        pytest.param({"SAM_MIN_REPLICAS": "0"}, "SAM_MIN_REPLICAS", "1", id="no replicas"),
        pytest.param({"SAM_IMAGE": "x"}, "SAM_CHECKPOINT", "go together", id="image alone"),
        pytest.param(
            {"SAM_IMAGE": "us-west1-docker.pkg.dev/p/r/sam:latest", "SAM_CHECKPOINT": "gs://b/c"},
            "SAM_IMAGE", "sha256", id="image by tag",
        ),
        pytest.param(
            {
                "SAM_IMAGE": f"us-docker.pkg.dev/p/r/sam@{DIGEST}", "SAM_CHECKPOINT": "gs://b/c",
            },
            "SAM_IMAGE", "us-west1-docker.pkg.dev", id="image elsewhere",
        ),
        pytest.param(
            {"SAM_IMAGE": f"us-west1-docker.pkg.dev/p/r/sam@{DIGEST}", "SAM_CHECKPOINT": "a.pth"},
            "SAM_CHECKPOINT", "gs://", id="checkpoint outside a bucket",
        ),
        pytest.param(
            {"SAM_SERVING_PRECISION": "bf16"}, "SAM_SERVING_PRECISION", "T4", id="bf16 on a T4",
        ),
        pytest.param(
            {"SAM_SERVING_MACHINE": "e2-standard-4"}, "SAM_SERVING_MACHINE", "takes no", id="e2",
        ),
        pytest.param({"SAM_SERVING_TARGET": "99"}, "SAM_SERVING_TARGET", "95", id="target"),
        pytest.param({"SAM_REGOIN": "us-west1"}, "SAM_REGOIN", "no such setting", id="misspelt"),
        pytest.param({"SAM_BUDGET": "lots"}, "SAM_BUDGET", "expected a whole number", id="number"),
        pytest.param({"SAM_BUDGET": "-3"}, "SAM_BUDGET", "expected at least 0", id="too little"),
        pytest.param(
            {"SAM_SOFT_DELETE_DAYS": "91"}, "SAM_SOFT_DELETE_DAYS", "at most 90", id="too much",
        ),
        pytest.param({"SAM_NAT": "no"}, "SAM_NAT", "expected one of '', 'create'", id="choice"),
    ],
)  # fmt: skip
def test_wrong_setting_is_refused_by_name(
    environ: dict[str, str], named: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**environ)
    assert caught.value.setting == named
    assert str(caught.value).startswith(f"{named}: ")
    assert problem in str(caught.value)
    assert caught.value.hint


def test_project_id_is_the_only_setting_without_a_default() -> None:
    with pytest.raises(SettingsError, match="SAM_PROJECT_ID: is not set"):
        load({}, {})
    required = [name for name, field in Settings.model_fields.items() if field.is_required()]
    assert required == ["project_id"]


def test_environment_overrides_context_and_settings_are_frozen() -> None:
    context = {
        "project_id": "from-context",
        "region": "us-east1",
        "zone": "us-east1-c",
        "ownKey": 1,
    }
    merged = load(context, {"SAM_PROJECT_ID": "my-project", "PATH": "/bin"})
    assert (merged.project_id, merged.region) == ("my-project", "us-east1")
    with pytest.raises(ValueError, match="frozen"):
        merged.region = "us-west1"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("SAM_REGON", "did you mean SAM_REGION?"), ("SAM_XYZ", "settings are SAM_ALERT_EMAIL, ")],
)
def test_misspelt_variable_is_answered_by_its_nearest(name: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**{name: "1"})
    assert caught.value.hint.startswith(hint)


def test_misspelt_context_is_refused_by_name() -> None:
    """Silence would hide the mistake; cdktf's own entries, in camel case, pass."""
    with pytest.raises(SettingsError, match=r"context regoin of cdktf\.json"):
        load({"project_id": "my-project", "regoin": "us-east1"}, {})


def test_every_t4_zone_is_accepted() -> None:
    for region, letters in T4_ZONES.items():
        for letter in letters:
            accepted = settings(SAM_REGION=region, SAM_ZONE=f"{region}-{letter}")
            assert accepted.zone == f"{region}-{letter}"


def test_every_machine_of_an_accelerator_is_accepted() -> None:
    for accelerator, machines in ACCELERATOR_MACHINES.items():
        for machine in machines:
            accepted = settings(SAM_SERVING_ACCELERATOR=accelerator, SAM_SERVING_MACHINE=machine)
            assert accepted.serving_machine == machine


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, variable(name)


def test_a_zone_with_t4s_is_taken() -> None:
    given = {"SAM_PROJECT_ID": "my-project", "SAM_REGION": "europe-west4"}
    assert load({}, {**given, "SAM_ZONE": "europe-west4-c"}).zone == "europe-west4-c"
