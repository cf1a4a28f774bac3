"""The split of an endpoint's traffic among its deployed models, in percent."""

from __future__ import annotations

import json

from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.vertex_ai.state import Json


def read_split(values: Json) -> Json:
    """The split of an endpoint: percent by id of the deployed model.

    Args:
        values: the provider's values of the endpoint.
    """
    split: Json = json.loads(values.get("traffic_split") or "{}")
    return split


def split_text(split: Json) -> str:
    """A split as the provider writes it, without those that get nothing."""
    if not split:
        return ""
    return json.dumps({id_: int(share) for id_, share in split.items() if int(share)})


def check_split(split: Json, deployed: set[str]) -> None:
    """Refuse a split that does not add up to 100, or names what is not deployed.

    Raises:
        ApiError: with the service's message.
    """
    shares = {id_: int(share) for id_, share in split.items()}
    if any(share < 0 for share in shares.values()) or sum(shares.values()) != 100:
        raise ApiError(400, f"The sum of traffic_split must be 100, got {split}.")
    unknown = set(shares) - deployed
    if unknown:
        raise ApiError(400, f"Traffic split names deployed models that are not: {unknown}.")
