"""The server's settings come from their variables, and a wrong one is refused by name."""

from __future__ import annotations

import pytest

from serving.errors import ArtifactsError
from serving.settings import ServingSettings


def test_settings_are_read_from_their_variables() -> None:
    settings = ServingSettings.from_environ(
        {
            "SERVING_PRECISION": "bf16", "SERVING_TIMEOUT_SECONDS": "2.5", "PATH": "/bin",
            "SERVING_MAX_INSTANCES": "3", "SERVING_READ_PREFIXES": "gs://a/b, gs://c/",
        }
    )  # fmt: skip
    assert settings.precision == "bf16"
    assert (settings.timeout_seconds, settings.max_instances) == (2.5, 3)
    assert settings.read_prefixes == ("gs://a/b/", "gs://c/")
    assert ServingSettings.from_environ({}) == ServingSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVING_PRECISON", "fp32"), ("SERVING_PRECISION", "fp8"), ("SERVING_MAX_PIXELS", "many"),
        ("SERVING_MAX_PIXELS", "-1"), ("SERVING_TIMEOUT_SECONDS", "nan"),
        ("SERVING_READ_PREFIXES", "/etc"), ("SERVING_WRITE_PREFIXES", "gs://"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ArtifactsError, match=name):
        ServingSettings.from_environ({name: value})


def test_a_reply_keeps_away_from_the_endpoints_limit() -> None:
    """What the endpoint adds, and the escapes that it may write, still fit."""
    settings = ServingSettings(reply_limit_bytes=1_500_000)
    assert settings.largest_reply_bytes == 1_200_000


ON_VERTEX = {"AIP_MODE": "PREDICTION", "AIP_MACHINE_TYPE": "n1-standard-4"}


@pytest.mark.parametrize(
    ("variables", "in_batch"),
    [
        ({}, False),
        ({"AIP_MODE": "PREDICTION"}, False),
        (ON_VERTEX, True),
        ({**ON_VERTEX, "AIP_ENDPOINT_ID": "1"}, False),
        ({**ON_VERTEX, "SERVING_BATCH": "off"}, False),
        ({**ON_VERTEX, "AIP_ENDPOINT_ID": "1", "SERVING_BATCH": "on"}, True),
    ],
)
def test_a_batch_prediction_is_known_by_the_endpoint_that_it_lacks(
    variables: dict[str, str], in_batch: bool
) -> None:
    settings = ServingSettings.from_environ({**variables, "SERVING_REPLY_LIMIT_BYTES": "1500000"})
    assert settings.in_batch is in_batch
    assert (settings.timeout_seconds, settings.reply_limit_bytes) == (
        (540.0, 250_000_000) if in_batch else (60.0, 1_500_000)
    )
    with pytest.raises(ArtifactsError, match="SERVING_BATCH"):
        ServingSettings.from_environ({"SERVING_BATCH": "yes"})
